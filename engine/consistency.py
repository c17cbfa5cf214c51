"""A recorded history -> what its workload's checkers say of it, and which of them count."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.checkers import REGISTRY as CHECKERS
from engine.checkers import Checker
from engine.experiment import Expect, Experiment
from engine.history import History, read
from engine.parameters import build, parameters
from engine.story import stories
from engine.verdict import Judgement, Verdict
from engine.workloads import Workload

ORDERED = ("linearizable", "sessions", "versions")  # what reads of the leader alone are held to
TRANSACTIONS = ("list-append", "rw-register")
TIMES = ("invoked", "completed", "acknowledged_at", "from", "to", "at", "since", "until")
ASKED = ("value", "result", "element")  # parts of a finding that are the workload's own


def checked(
    experiment: Experiment, path: Path, at: Callable[[int], float], zero: int | None
) -> tuple[list[Judgement], dict[str, int | None]]:
    """One judgement for each checker of the workload; `at` puts monotonic ns on the run's clock, which begins at `zero`."""
    assert experiment.workload
    _, workload = experiment.workload
    history = read(path)
    found = [_checked(name, workload, experiment.expect, history) for name in there(workload)]
    told = [replace(one, stories=stories(history, one.findings, zero)) for one in found]
    timed = [replace(one, findings=[on_clock(f, at) for f in one.findings]) for one in told]
    return timed, workload.counts(history)


def there(workload: Workload) -> list[str]:
    return [name for name in workload.checkers if name in CHECKERS]


def counting(experiment: Experiment) -> dict[str, Checker]:
    """Those whose findings violate the run, by their names."""
    if experiment.workload is None:
        return {}
    workload, expect = experiment.workload[1], experiment.expect
    wrong = Judgement("", Verdict.VIOLATED, "")
    return {
        name: _built(name, workload, expect)
        for name in there(workload)
        if _counts(name, workload, expect, wrong)
    }


def _checked(name: str, workload: Workload, expect: Expect, history: History) -> Judgement:
    try:
        found = _built(name, workload, expect).check(history)
    except Exception as error:  # a crashed checker is UNKNOWN with its error, see the safety contract, 10
        found = Judgement(name, Verdict.UNKNOWN, f"the checker crashed: {error!r}")
    return replace(found, counted=_counts(name, workload, expect, found))


def _built(name: str, workload: Workload, expect: Expect) -> Checker:
    cls = CHECKERS.get(name)
    takes = {parameter.name for parameter in parameters(cls)}
    wanted: dict[str, Any] = {"spec": workload.keeps}
    if expect.isolation is not None:
        wanted["level"] = expect.isolation
    if expect.max_staleness is not None:
        wanted["within"] = f"{expect.max_staleness}s"
    return build(cls, {key: value for key, value in wanted.items() if key in takes})


def _counts(name: str, workload: Workload, expect: Expect, found: Judgement) -> bool:
    """Does it take part in the run's verdict, beside what is expected in so many words?

    Nobody promised that replicas answer with the newest value, unless the experiment does; and what only adds
    to the first checker's verdict does not make it unknown.
    """
    promised = workload.read_from != "replicas" if expect.linearizable is None else expect.linearizable
    if name in ORDERED and not promised:
        return False
    if name in TRANSACTIONS and expect.isolation is None:
        return _promises(workload)
    return name == workload.checkers[0] or found.verdict is Verdict.VIOLATED


def _promises(workload: Workload) -> bool:
    """Transactions are held to be serializable unless their client was told a weaker isolation."""
    return bool(workload.client.get("isolation", "serializable") == "serializable")


def on_clock(part: Any, at: Callable[[int], float]) -> Any:
    """A finding with its times in seconds of the run."""
    if isinstance(part, list):
        return [on_clock(one, at) for one in part]
    if not isinstance(part, dict):
        return part
    return {key: _timed(key, value, at) for key, value in part.items()}


def _timed(key: str, value: Any, at: Callable[[int], float]) -> Any:
    if key in ASKED:
        return value
    if key in TIMES and type(value) is int:
        return at(value)
    return on_clock(value, at)
