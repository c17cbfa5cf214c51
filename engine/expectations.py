"""What was expected against what was measured: one judgement each. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine import text
from engine.experiment import Experiment
from engine.recovery import Recovered, measures
from engine.series import Readings
from engine.tolerance import Comparison
from engine.verdict import Judgement, Verdict

ONE_COPY = "answers as from a single copy of the data"


def expectations(
    experiment: Experiment,
    recovered: Iterable[Recovered],
    raw: Mapping[str, Readings],
    judged: Mapping[str, Readings],
    operations: Mapping[str, int | None] | None,
    ending: str,
    checks: Sequence[Judgement] = (),
) -> list[Judgement]:
    """`recovered` is how each probe took each fault; `raw` and `judged` are readings by probe."""
    expect, every = experiment.expect, list(recovered)
    found = []
    if experiment.faults:
        limit = experiment.recovery.timeout if expect.recover_within is None else expect.recover_within
        found.append(_recovers(experiment, every, limit, finished=ending == "finished"))
    if expect.detect_within is not None:
        found.append(_detects(every, expect.detect_within))
    for bound in (expect.availability, expect.p99):
        if bound is not None:
            source = judged if bound.measure == "availability" else raw
            found.append(_bounded(bound, [measures(r).get(bound.measure) for r in source.values()]))
    if expect.lost_writes is not None:
        found.append(_loses(expect.lost_writes, operations))
    if expect.linearizable:
        found.append(_shown("linearizable", ONE_COPY, ("linearizable",), checks))
    if expect.isolation is not None:
        found.append(_shown("isolation", expect.isolation, ("list-append", "rw-register"), checks))
    if expect.max_staleness is not None:
        at_most = f"≤ {text.seconds(expect.max_staleness)}"
        found.append(_shown("staleness", at_most, ("staleness",), checks))
    return found


def _shown(name: str, expected: str, checkers: tuple[str, ...], checks: Sequence[Judgement]) -> Judgement:
    """What the checker that can tell has said."""
    told = next((check for check in checks if check.name in checkers), None)
    if told is None:
        why = "not tested: no workload of this run can show it"
        return Judgement(name, Verdict.UNKNOWN, why, expected, "not tested")
    return Judgement(name, told.verdict, told.headline, expected, told.measured or told.verdict.word)


def _recovers(experiment: Experiment, every: list[Recovered], limit: float, *, finished: bool) -> Judgement:
    expected = f"≤ {text.seconds(limit)} from injected"

    def judgement(verdict: Verdict, headline: str, measured: str) -> Judgement:
        return Judgement("recovers", verdict, headline, expected, measured)

    if len(every) < len(experiment.faults):
        return judgement(Verdict.UNKNOWN, "not every fault was injected", "not tested")
    broken = [r for r in every if r.broken]
    if not broken:
        return judgement(Verdict.HELD, "it was never out of tolerance", "never out of tolerance")
    times = [r.from_injected for r in broken if r.from_injected is not None]
    if len(times) < len(broken):
        if not finished:
            return judgement(Verdict.UNKNOWN, "the run ended before it could be seen", "not seen")
        stable = text.seconds(experiment.recovery.stable)
        return judgement(Verdict.VIOLATED, f"it was not seen steady for {stable} again", "not recovered")
    took, give = max(times) / 1e9, max(r.uncertainty for r in broken) / 1e9
    verdict = Verdict.HELD if took <= limit else Verdict.VIOLATED
    measured = f"{text.seconds(took)} ± {text.seconds(give)}"
    return judgement(verdict, f"steady again after {text.seconds(took)}", measured)


def _detects(every: list[Recovered], limit: float) -> Judgement:
    expected = f"≤ {text.seconds(limit)}"
    broken = [r.detect for r in every if r.detect is not None]
    if not broken:
        why = "nothing was out of tolerance"
        return Judgement("detects", Verdict.UNKNOWN, why, expected, "nothing to detect")
    took = max(broken) / 1e9
    verdict = Verdict.HELD if took <= limit else Verdict.VIOLATED
    told = text.seconds(took)
    return Judgement("detects", verdict, f"out of tolerance after {told}", expected, told)


def _bounded(bound: Comparison, values: list[float | None]) -> Judgement:
    known = [v for v in values if v is not None]
    if not known:
        return Judgement(bound.measure, Verdict.UNKNOWN, "nothing was measured", bound.text(), "unknown")
    far = min(known) if bound.sign in (">=", ">") else max(known)
    verdict = Verdict.HELD if bound.holds(far) else Verdict.VIOLATED
    measured = text.quantity(far, bound.measure)
    return Judgement(bound.measure, verdict, f"{bound.measure} was {measured}", bound.text(), measured)


def _loses(allowed: int, operations: Mapping[str, int | None] | None) -> Judgement:
    expected = (
        f"at most {text.count(allowed, 'acknowledged write')} lost"
        if allowed
        else "no acknowledged write lost"
    )
    lost = operations["lost"] if operations and operations["acknowledged"] else None
    if lost is None:
        why = "what was written was not read back" if operations else "no workload wrote anything"
        return Judgement("lost writes", Verdict.UNKNOWN, why, expected, "unknown")
    verdict = Verdict.HELD if lost <= allowed else Verdict.VIOLATED
    told = f"{text.count(lost, 'acknowledged write')} lost"
    return Judgement("lost writes", verdict, told, expected, f"{lost:,} lost")


def clean(faults: list[dict[str, Any]]) -> Judgement:
    """Is everything back as it was? As read back from the system after each healing."""
    expected = "everything is back, read back"
    if not faults:
        return Judgement("clean", Verdict.HELD, "nothing was hurt", expected, "nothing was hurt")
    left = [f for f in faults if f["state"] != "clean"]
    if not left:
        told = "; ".join(dict.fromkeys(f["text"] for f in faults if f["text"]))
        return Judgement("clean", Verdict.HELD, f"clean, read back: {told}", expected, "clean")
    stuck = any(f["state"] == "stuck" for f in left)
    told = "; ".join(f"{f['line']}: {f['state']}, {f['text']}" for f in left)
    verdict = Verdict.VIOLATED if stuck else Verdict.UNKNOWN
    return Judgement("clean", verdict, told, expected, "stuck" if stuck else "unverified")
