"""Every figure of a report, once: all formats show these, so that none says anything else. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from apps.reports.templatetags.figures import NOTHING, count, judged, label, percent, seconds

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Figure:
    """`value` is as it was stored (times in seconds, shares from 0 to 1); `text` is how people read it."""

    key: str
    name: str
    value: Value
    text: str


def figures(report: Mapping[str, Any]) -> list[Figure]:
    """Of a complete report, see `apps.reports.pages.report`."""
    return [
        *_verdict(report), *_judged(report), *_recovery(report["recovery"]), *_phases(report["phases_measured"]),
        *_faults(report["faults"]), *_operations(report["operations"]), *_load(report.get("load")),
    ]  # fmt: skip


def as_dicts(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [asdict(figure) for figure in figures(report)]


def _verdict(report: Mapping[str, Any]) -> Iterator[Figure]:
    for key in ("verdict", "headline", "ending"):
        yield Figure(key, label(key), report[key], str(report[key]))
    yield Figure("duration", "Duration", report["duration"], seconds(report["duration"]))
    told = {True: "yes", False: "no"}.get(report["clean"], "unknown")
    yield Figure("clean", "Read back as clean", report["clean"], told)


def _judged(report: Mapping[str, Any]) -> Iterator[Figure]:
    for i, item in enumerate(judged(dict(report)), 1):
        name = label(item["name"])
        measured = item.get("measured") or item.get("headline") or ""
        yield Figure(f"judged.{i}.verdict", f"{name}: verdict", item["verdict"], item["verdict"])
        yield Figure(f"judged.{i}.measured", f"{name}: measured", measured, measured)


def _recovery(recovery: Mapping[str, Any]) -> Iterator[Figure]:
    for key in (
        "time_to_detect", "time_to_recover_from_injected", "time_to_recover_from_healed", "worst_outage", "uncertainty",
    ):  # fmt: skip
        yield Figure(f"recovery.{key}", label(key), recovery.get(key), seconds(recovery.get(key)))
    share = recovery.get("availability")
    yield Figure("recovery.availability", "Availability", share, percent(share))
    outages = len(recovery.get("outages") or [])
    yield Figure("recovery.outages", "Outages", outages, count(outages))


def _phases(phases: list[Mapping[str, Any]]) -> Iterator[Figure]:
    for part in phases:
        key, name = f"phase.{part['phase']}", label(part["phase"])
        share = part.get("availability")
        yield Figure(f"{key}.availability", f"{name}: availability", share, percent(share))
        for measure in ("p50", "p99", "max"):
            yield Figure(
                f"{key}.{measure}", f"{name}: {measure}", part.get(measure), seconds(part.get(measure))
            )
        yield Figure(f"{key}.samples", f"{name}: looks", part.get("samples"), count(part.get("samples")))


def _faults(faults: list[Mapping[str, Any]]) -> Iterator[Figure]:
    for i, fault in enumerate(faults, 1):
        line = fault.get("line", "")
        for key in ("injected_at", "healed_at"):
            at = fault.get(key)
            text = NOTHING if at is None else f"{at:.3f} s"
            yield Figure(f"fault.{i}.{key}", f"{line}: {label(key).lower()}", at, text)
        state = fault.get("state", "")
        yield Figure(f"fault.{i}.state", f"{line}: state", state, state)


def _operations(operations: Mapping[str, Any] | None) -> Iterator[Figure]:
    for key, value in (operations or {}).items():
        yield Figure(f"operations.{key}", f"Operations: {label(key).lower()}", value, count(value))


def _load(load: Mapping[str, Any] | None) -> Iterator[Figure]:
    for row in (load or {}).get("nodes", []):
        for part in ("before", "during", "after"):
            name = f"{row['node']}: answered {part}"
            yield Figure(f"load.{row['node']}.{part}", name, row[part], count(row[part]))
    for i, row in enumerate((load or {}).get("while_gone", []), 1):
        name = f"{row['node']}: answers while gone"
        yield Figure(f"while_gone.{i}", name, row["answers"], count(row["answers"]))
