"""A worker performs one run; a reaper ends the run of a worker that died."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone

from apps.runs import stopping, transitions
from apps.runs.mirror import state_directory
from apps.runs.models import Run
from apps.runs.recorder import Recorder
from engine import concluding, runner, undo
from engine import state as files
from engine.errors import EngineError
from engine.events import Event, read
from engine.experiment import Experiment
from engine.target import Target

LOST_AFTER = timedelta(seconds=6)  # a run of which nothing is heard for so long has lost its worker
Perform = Callable[..., dict[str, Any]]

log = logging.getLogger(__name__)


def execute(run_id: int, perform: Perform = runner.run) -> None:
    """Performs the run if it can be claimed; a message that comes twice does nothing the second time."""
    if stopping.told():
        return
    if halt := files.halted(state_directory()):
        transitions.cancel(run_id, "halted", f"Never begun: halted by {halt.get('by')}: {halt.get('reason')}")
        return
    run = transitions.claim(run_id)
    if run is None:
        return
    _make_room(run)
    with stopping.listening(), Recorder(run) as recorder:
        try:
            result = _perform(run, recorder, perform)
        except EngineError as error:
            result = conclude(run, recorder, "failed", str(error))
        except Exception as error:  # a defect of ours: the run still ends, and says so
            log.exception("%s broke", run)
            result = conclude(run, recorder, "failed", f"chaosboard itself broke: {error!r}")
    _finish(run, recorder, result)


def _perform(run: Run, recorder: Recorder, perform: Perform) -> dict[str, Any]:
    return perform(
        Experiment.from_dict(run.version.document),
        Target.from_dict(run.target_document),
        directory=run.directory,
        state=state_directory(),
        emit=recorder,
        stop=recorder.stop,
        run_id=str(run.pk),
        orders=recorder.orders,
    )


def _make_room(run: Run) -> None:
    """A directory that is there already is of another database; it is kept, under another name."""
    if run.directory.exists():
        aside = f"{run.pk}.until-{timezone.now():%Y%m%dT%H%M%S.%f}"
        run.directory.rename(run.directory.with_name(aside))


def _finish(run: Run, recorder: Recorder, result: dict[str, Any]) -> None:
    if not recorder.complete:
        log.error("%s: what is missing in the database is left to the reaper", run)
        return
    try:
        transitions.finish(run, result, recorder.held_back)
    except transitions.Lost:
        log.error("%s was taken over before it ended", run)


def conclude(run: Run, recorder: Recorder, ending: str, reason: str) -> dict[str, Any]:
    """Heals, and judges from the files; where there are none, the truth is short."""
    if recorder.lost:
        undo.heal_all(state_directory(), run=str(run.pk))
        return {}
    if (run.directory / "events.jsonl").exists():
        _mend(run)
        return concluding.conclude(
            run.directory, state_directory(), str(run.pk),
            ending=ending, reason=reason, emit=recorder, after=recorder.last,
        )  # fmt: skip
    undo.heal_all(state_directory(), run=str(run.pk))
    headline, n = f"Never begun: {reason}", recorder.last
    recorder(
        [
            Event(n + 1, 0.0, "note", {"level": "error", "text": reason}),
            Event(n + 2, 0.0, "verdict", {"verdict": "unknown", "headline": headline, "ending": ending}),
            Event(n + 3, 0.0, "phase", {"phase": "done", "text": ""}),
        ]
    )
    return {
        "verdict": "unknown", "headline": headline, "ending": ending, "ending_reason": reason,
        "name": run.name, "target": run.target.name,
    }  # fmt: skip


def _mend(run: Run) -> None:
    """Cuts off a last line that was being written when the process died, so that more can follow."""
    with open(run.directory / "events.jsonl", "r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def reap() -> int:
    """Ends the runs whose workers fell silent: heals, judges what was recorded. How many there were."""
    silent = Run.objects.filter(state=Run.State.RUNNING, heartbeat_at__lt=timezone.now() - LOST_AFTER)
    taken = [
        run for run in silent.select_related("version__experiment", "target") if transitions.take_over(run)
    ]
    for run in taken:
        try:
            _bury(run)
        except (EngineError, OSError, transitions.Lost):
            log.exception("%s could not be ended; it is tried again", run)
    return len(taken)


def _bury(run: Run) -> None:
    last = run.events.aggregate(last=Max("n"))["last"] or 0
    with Recorder(run, after=last) as recorder:
        result = _finished_already(run, recorder) or conclude(run, recorder, *_why(run))
    _finish(run, recorder, result)


def _why(run: Run) -> tuple[str, str]:
    if run.stop_reason:
        return ("halted" if run.stop_reason.startswith("halted") else "aborted"), run.stop_reason
    return "aborted", f"the worker was lost: nothing was heard of it for {LOST_AFTER.seconds} s"


def _finished_already(run: Run, recorder: Recorder) -> dict[str, Any] | None:
    """The result of a worker that did all but store its end."""
    events = read(run.directory / "events.jsonl")
    result = files.read(run.directory / "result.json")
    if not result or not events or events[-1].kind != "phase" or events[-1].data.get("phase") != "done":
        return None
    recorder([e for e in events if e.n > recorder.last])
    return result
