"""Stop every run, heal everything, refuse new runs: by files first, so that it needs nothing else."""

import logging
from datetime import datetime
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.runs import transitions
from apps.runs.mirror import refresh, state_directory
from apps.runs.models import Halt, Run
from engine import state as files
from engine import undo
from engine.errors import BadInput, Problem
from engine.undo import Healed

log = logging.getLogger(__name__)


def name_of(by: object) -> str:
    """The name of a person, given as user or as text."""
    return str(getattr(by, "username", by) or "")


def halted() -> dict[str, Any] | None:
    """Who halted, when and why: {"at", "by", "reason"}; None where nothing is halted."""
    return files.halted(state_directory())


def halt(reason: str, by: object) -> list[Healed]:
    """Stops and heals everything, and returns what was healed. Needs neither broker nor database."""
    reason, who = reason.strip(), name_of(by)
    if not reason:
        raise BadInput([Problem("reason", "is missing: whoever finds the board halted wants to know why")])
    files.halt(state_directory(), who, reason)
    try:
        _mark(reason, who)
    except DatabaseError:
        log.exception("halted, but it could not be written into the database; the tick does that later")
    healed = undo.heal_all(state_directory())
    try:
        refresh()
    except DatabaseError:
        log.exception("healed, but it could not be written into the database; the tick does that later")
    return healed


def _mark(reason: str, who: str) -> None:
    reconcile()
    why = f"halted by {who}: {reason}"
    Run.objects.filter(state=Run.State.RUNNING, stop_reason="").update(stop_reason=why)
    for run_id in Run.objects.filter(state=Run.State.QUEUED).values_list("pk", flat=True):
        transitions.cancel(run_id, "halted", f"Never begun: {why}")


def resume(by: object) -> bool:
    """Lifts the halt; False where there was none."""
    path = state_directory() / "halt"
    was = path.exists()
    with transaction.atomic():
        Halt.objects.filter(lifted_at=None).update(lifted_at=timezone.now(), lifted_by=name_of(by))
        path.unlink(missing_ok=True)
    return was


def reconcile() -> None:
    """Brings the rows to what the file says: it may have come while the database was away."""
    found = halted()
    if found:
        at = datetime.fromisoformat(found["at"])
        Halt.objects.get_or_create(
            at=at, defaults={"by": str(found.get("by", "")), "reason": str(found.get("reason", ""))}
        )
    else:
        Halt.objects.filter(lifted_at=None).update(lifted_at=timezone.now())
