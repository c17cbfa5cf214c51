"""What can be done with runs. Doors (pages, API, tasks, commands) call these and nothing else."""

from functools import partial
from typing import Any

from django.db import transaction

from apps.runs import carrying, figures, mirror, transitions
from apps.runs.execution import execute, reap
from apps.runs.halting import halt, halted, name_of, reconcile, resume
from apps.runs.mirror import hurt_now
from apps.runs.models import Run
from apps.runs.queueing import enqueue, requeue
from apps.runs.transitions import claim, finish
from engine.errors import Refused

__all__ = [
    "abort", "claim", "execute", "finish", "halt", "halted", "hurt_now", "reap", "request_run", "resume", "tick",
    "waits_for",
]  # fmt: skip


def request_run(experiment: Any, *, by: object = "", trigger: str = "hand", target_version: str = "") -> Run:
    """Stores a run of the experiment's newest version; a worker begins it when its target is free.

    Raises Refused while everything is halted, BadInput where the document no longer fits.
    """
    refuse_while_halted()
    if experiment.archived:
        raise Refused(f"{experiment.name} is archived.", "Bring it back first.")
    version = experiment.current
    if version is None:
        raise Refused(f"{experiment.name} has no version.", "Save it first.")
    definition = version.to_engine()
    with transaction.atomic():
        run = Run.objects.create(
            version=version,
            target=experiment.target,
            target_document=experiment.target.to_engine().to_dict(),
            requested_by=name_of(by),
            trigger=trigger,
            target_version=target_version,
        )
        figures.label_faults(run, definition)
        transaction.on_commit(partial(enqueue, run.pk))
    return run


def waits_for(run: Run) -> Run | None:
    """The run that hurts the target now, where this one must wait for it."""
    if run.state != Run.State.QUEUED:
        return None
    return Run.objects.filter(target_id=run.target_id, state=Run.State.RUNNING).first()


def refuse_while_halted() -> None:
    if found := halted():
        raise Refused(
            f"Nothing starts: halted by {found.get('by')} at {str(found.get('at'))[:19]}: {found.get('reason')}.",
            "Lift the halt first.",
        )


def abort(run: Run, by: object) -> bool:
    """Asks the run to end and heal; False where it is over already."""
    why = f"aborted by {name_of(by)}"
    if transitions.cancel(run.pk, "aborted", f"Never begun: {why}"):
        return True
    running = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING)
    return bool(running.filter(stop_reason="").update(stop_reason=why)) or running.exists()


def tick() -> None:
    """What must happen again and again, whoever died: about once a second, from any process."""
    reconcile()
    requeue()
    carrying.enqueue_healing()
    mirror.refresh()
    reap()
