"""A gate: is a run worse than one that is held up as the baseline, by more than is tolerated?"""

from dataclasses import dataclass

from apps.runs.models import Figures, Run
from engine.errors import BadInput, Problem, Refused
from engine.text import seconds, share
from engine.verdict import Verdict

NAMES = {
    "detect": "time to detect",
    "recover": "time to recover from injected",
    "recover_healed": "time to recover from healed",
}


@dataclass(frozen=True)
class Tolerance:
    """How much longer a time may be, as a share of the baseline's; how much lower the availability, in points."""

    slower: float = 0.10
    less_available: float = 0.01


def share_of(text: str) -> float:
    """`10%` -> 0.1. Raises BadInput."""
    try:
        found = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        found = -1.0
    if not text.strip().endswith("%") or not 0 <= found < 1e6:
        raise BadInput([Problem("tolerance", f"{text!r} is no share; write it as in 10%")])
    return found


def baseline_of(text: str) -> Figures:
    """The figures of the run of that number. Raises Refused where there are none."""
    found = Figures.objects.filter(run=int(text)).first() if text.isdecimal() and len(text) < 18 else None
    if found is None:
        over = text.isdecimal() and len(text) < 18 and Run.objects.filter(pk=int(text)).exists()
        why = "has no figures" if over else "is not there"
        raise Refused(f"Run {text} {why}, so that it is no baseline.", "Name a run that came to a verdict.")
    return found


def worse(run: Figures, base: Figures, tolerance: Tolerance) -> list[str]:
    """Each way in which the run is worse, in words; [] where it is as good. Pure.

    A time counts as longer only beyond the errors of measuring of both. Never to recover is longer than any time.
    """
    found = []
    if Verdict.of(run.verdict).value > Verdict.of(base.verdict).value:
        found.append(f"the verdict is {run.verdict}, and was {base.verdict}")
    if base.availability is not None:
        found += _less(run.availability, base.availability, tolerance.less_available)
    error = (run.uncertainty or 0.0) + (base.uncertainty or 0.0)
    for name, words in NAMES.items():
        found += _longer(words, getattr(run, name), getattr(base, name), tolerance.slower, error, run.broken)
    return found


def _less(now: float | None, then: float, allowed: float) -> list[str]:
    if now is None:
        return ["the availability is unknown"]
    if then - now <= allowed:
        return []
    return [f"the availability is {share(now)}, and was {share(then)} ({share(allowed)} less is tolerated)"]


def _longer(
    words: str, now: float | None, then: float | None, allowed: float, error: float, broken: bool
) -> list[str]:
    if now is None:
        never = broken and then is not None
        return [f"the {words} is unknown or never came, and was {seconds(then)}"] if never else []
    if then is None or now <= then * (1 + allowed) + error:
        return []
    return [f"the {words} is {seconds(now)}, and was {seconds(then)} ({allowed:.0%} longer is tolerated)"]
