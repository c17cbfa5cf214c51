"""queued -> running -> done: each step is one conditional update, so that a repetition is harmless."""

import os
import socket
import uuid
from collections.abc import Iterable
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.live.publish import publish
from apps.runs import figures, mirror
from apps.runs.models import Event, Run
from apps.runs.queueing import enqueue_next
from engine.events import Event as Reported

ENDINGS = ("finished", "aborted", "halted", "failed")


class Lost(RuntimeError):
    """This process no longer holds the run: another has taken it over. It heals and stops."""


def new_claim(role: str) -> str:
    return f"{role}@{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"


def claim(run_id: int, role: str = "worker") -> Run | None:
    """The run, now held by this process; None where it is taken, over, or its target is being hurt."""
    now = timezone.now()
    token = new_claim(role)
    try:
        with transaction.atomic():
            claimed = Run.objects.filter(pk=run_id, state=Run.State.QUEUED, stop_reason="").update(
                state=Run.State.RUNNING, worker=token, started_at=now, heartbeat_at=now, phase="preflight"
            )
    except IntegrityError:
        return None
    return Run.objects.select_related("version__experiment", "target").get(pk=run_id) if claimed else None


def take_over(run: Run, role: str = "reaper") -> bool:
    """Whether this process now holds a run whose worker fell silent; of two that try, one succeeds."""
    token, now = new_claim(role), timezone.now()
    seen = Run.objects.filter(
        pk=run.pk, state=Run.State.RUNNING, worker=run.worker, heartbeat_at=run.heartbeat_at
    )
    taken = bool(seen.update(worker=token, heartbeat_at=now))
    if taken:
        run.worker, run.heartbeat_at = token, now
    return taken


def store(run: Run, events: Iterable[Reported] = (), **row: Any) -> None:
    """Events, their mirror and a sign of life, all or nothing. Raises Lost."""
    events = list(events)
    phases = [e.data["phase"] for e in events if e.kind == "phase"]
    if phases:
        row.setdefault("phase", phases[-1])
    with transaction.atomic():
        held = Run.objects.filter(pk=run.pk, worker=run.worker, state=Run.State.RUNNING)
        if not held.update(heartbeat_at=timezone.now(), **row):
            raise Lost(f"{run} is held by another process")
        Event.objects.bulk_create(
            [Event(run_id=run.pk, n=e.n, at=e.at, kind=e.kind, data=e.data) for e in events], batch_size=500
        )
        for event in events:
            if event.kind == "fault":
                mirror.record(run, event.data)


def tell(run: Run, events: Iterable[Reported]) -> bool:
    """Whether the browsers were told. What is told has been stored."""
    events = list(events)
    payload = orjson.dumps([e.to_dict() for e in events])
    return publish(run.channel, events[0].n, payload) if events else True


def hint(run: Run, following: int) -> bool:
    """Tells the browsers that everything before `following` is stored, without saying it again."""
    return publish(run.channel, following, b"[]")


def finish(run: Run, result: dict[str, Any], events: Iterable[Reported] = ()) -> None:
    """The last events and the result in one step, then the next run of this target. Raises Lost."""
    ending = result.get("ending")
    events = list(events)
    with transaction.atomic():
        store(
            run,
            events,
            state=Run.State.DONE,
            phase="done",
            verdict=result.get("verdict", "unknown"),
            ending=ending if ending in ENDINGS else "finished",
            headline=result.get("headline", ""),
            result=result,
            finished_at=timezone.now(),
        )
        figures.store(run, result)
    tell(run, events)
    enqueue_next(run.target_id)


def cancel(run_id: int, ending: str, headline: str) -> bool:
    """Ends a run that waits; False where it no longer waits."""
    events = [
        Reported(1, 0.0, "verdict", {"verdict": "unknown", "headline": headline, "ending": ending}),
        Reported(2, 0.0, "phase", {"phase": "done", "text": headline}),
    ]
    with transaction.atomic():
        waiting = Run.objects.filter(pk=run_id, state=Run.State.QUEUED)
        if not waiting.update(
            state=Run.State.DONE, phase="done", verdict="unknown", ending=ending, headline=headline,
            stop_reason=headline, finished_at=timezone.now(),
        ):  # fmt: skip
            return False
        Event.objects.bulk_create(
            [Event(run_id=run_id, n=e.n, at=e.at, kind=e.kind, data=e.data) for e in events]
        )
    tell(Run(pk=run_id), events)
    return True
