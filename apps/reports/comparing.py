"""What the page of a comparison shows: runs laid over each other, aligned at their first injection."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apps.reports import comparison, pages
from apps.reports.comparison import Difference, Latencies
from apps.runs.figures import target_print, told_version
from apps.runs.models import Run
from engine import evidence, text
from engine.document import dump
from engine.errors import EngineError

MOST = 6  # runs on one chart
MOST_READINGS = 20_000  # of a run, for the bootstrap; of more, every second, third, ... is taken
PARTS = (("before", "before the fault"), ("during", "while it hurt"), ("after", "after it"))
TIMES = (
    ("time_to_detect", "Time to detect"),
    ("time_to_recover_from_injected", "Time to recover, from injected"),
    ("time_to_recover_from_healed", "Time to recover, from healed"),
)


@dataclass(frozen=True)
class Compared:
    """One run and what was recorded of it."""

    run: Run
    place: int

    @cached_property
    def result(self) -> dict[str, Any]:
        return pages.report(self.run)

    @property
    def target_version(self) -> str:
        """As it was asked for, or as its nodes told."""
        return self.run.target_version or told_version(self.result)

    @property
    def zero(self) -> float:
        """The first injection, in seconds of the run; its second 0 where nothing was injected."""
        return min((f["injected_at"] for f in self.result["faults"]), default=0.0)

    @property
    def windows(self) -> list[dict[str, Any]]:
        end = self.result["duration"] or 0.0
        return [
            {
                "line": fault["line"],
                "from": round(fault["injected_at"] - self.zero, 4),
                "to": round((fault["healed_at"] or end) - self.zero, 4),
            }
            for fault in self.result["faults"]
        ]

    @cached_property
    def parts(self) -> dict[str, dict[str, Any]]:
        return {part["phase"]: part for part in self.result["phases_measured"]}

    def share(self, part: str | None) -> tuple[int, int] | None:
        """Good readings of all, in one part of the run or in the whole; None where nothing was read."""
        chosen = [
            p for name, p in self.parts.items() if part in (None, name) and p["availability"] is not None
        ]
        total = sum(p["samples"] for p in chosen)
        return (sum(round(p["availability"] * p["samples"]) for p in chosen), total) if total else None

    @cached_property
    def latencies(self) -> tuple[Latencies, Latencies] | None:
        """Seconds of the good readings before the first injection and from it on; None without the files."""
        try:
            recorded = evidence.load(self.run.directory)
            readings = next(iter(recorded.readings.values()))
        except (EngineError, OSError, ValueError, TypeError, KeyError, StopIteration):
            return None
        start = recorded.ns(self.zero)
        seconds = (readings.completed - readings.scheduled) / 1e9
        parts = [readings.good & (readings.scheduled < start), readings.good & (readings.scheduled >= start)]
        before, since = (_fewer(seconds[chosen]) for chosen in parts)
        return before, since

    @property
    def drawn(self) -> dict[str, Any]:
        columns = comparison.aligned(pages.events(self.run), self.zero)
        return {"name": f"run {self.run.pk}", **comparison.thinned(columns), "windows": self.windows}


def _fewer(series: Latencies) -> Latencies:
    return series[:: -(-len(series) // MOST_READINGS) or 1]


def differences(base: Compared, other: Compared) -> list[Difference]:
    found = [comparison.shares("Availability of the whole run", base.share(None), other.share(None))]
    found += [
        comparison.shares(f"Availability {words}", base.share(part), other.share(part))
        for part, words in PARTS
    ]
    found += _latencies(base, other)
    recoveries = base.result["recovery"], other.result["recovery"]
    errors = [recovery["uncertainty"] for recovery in recoveries]
    found += [
        comparison.times(words, *(recovery[name] for recovery in recoveries), *errors)
        for name, words in TIMES
    ]
    return found


def _latencies(base: Compared, other: Compared) -> list[Difference]:
    names = ("before the fault", "from the fault on")
    if base.latencies is None or other.latencies is None:
        return [Difference("Latency", None, None, why="the samples of one of them are gone")]
    return [
        comparison.quantiles(f"Latency p{q} {name}", q, one, two)
        for name, one, two in zip(names, base.latencies, other.latencies, strict=True)
        for q in (50, 99)
    ]


def verdict(differences: list[Difference]) -> str:
    """One sentence about the two runs."""
    worse = [d.name.lower() for d in differences if d.better is False]
    better = [d.name.lower() for d in differences if d.better is True]
    if not worse and not better:
        return "No difference that can be told."
    parts = [f"{how} in {_some(names)}" for how, names in (("worse", worse), ("better", better)) if names]
    told = "; ".join(parts)
    return f"{told[0].upper()}{told[1:]}."


def _some(names: list[str]) -> str:
    return text.listed([*names[:3], f"{len(names) - 3} more"] if len(names) > 4 else names)


def context(runs: list[Run]) -> dict[str, Any]:
    """The first run is the one that the others are held against."""
    compared = [Compared(run, place) for place, run in enumerate(runs)]
    base, *others = compared
    return {
        "compared": compared,
        "base": base,
        "pairs": [_pair(base, other) for other in others],
        "drawn": [one.drawn for one in compared],
    }


def _pair(base: Compared, other: Compared) -> dict[str, Any]:
    found = differences(base, other)
    texts = [dump(one.run.version.document) for one in (base, other)]
    prints = [target_print(one.run.target_document) for one in (base, other)]
    targets = [dump(one.run.target_document) for one in (base, other)]
    return {
        "other": other,
        "differences": found,
        "verdict": verdict(found),
        "document": comparison.document_changes(*texts),
        "target": comparison.document_changes(*targets) if prints[0] != prints[1] else [],
    }
