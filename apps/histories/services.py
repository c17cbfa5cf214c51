"""Keeping histories: what comes in, what is judged, what is thrown away."""

import logging
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from kombu.exceptions import KombuError, OperationalError

from apps.histories.judging import Unreadable, judge
from apps.histories.models import History
from apps.live.publish import reachable
from engine.checkers import REGISTRY as CHECKERS
from engine.errors import BadInput, Problem, Refused
from engine.specs import REGISTRY as SPECS
from engine.state import take_in

AT_ONCE = 2  # histories that are judged side by side; the other workers are for runs
AGAIN = timedelta(seconds=10)  # a waiting one is sent again after this
LOST_AFTER = timedelta(seconds=15)  # one of which nothing is heard has lost its worker
LIMITS = (1, 3600)  # s
State = History.State

log = logging.getLogger(__name__)


def keep(chunks: Iterable[bytes], filename: str, by: object = "", **given: Any) -> History:
    """Writes the file to disk as it comes, and has it judged. Raises BadInput or Refused."""
    choices = _choices(given)
    filename = Path(filename.replace("\\", "/")).name[-200:] or "history.jsonl"
    row = History(
        name=str(given.get("name") or "").strip()[:120] or filename[:120], filename=filename, size=0,
        note=str(given.get("note") or "").strip(), uploaded_by=str(getattr(by, "username", by) or ""), **choices,
    )  # fmt: skip
    folder = Path(settings.CHAOSBOARD_STATE) / "histories"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="coming-", dir=folder) as coming:
        row.size = _write(Path(coming) / "history", chunks)
        with transaction.atomic():
            row.save()
            row.directory.mkdir()
            (Path(coming) / "history").rename(row.file)
    enqueue(row.pk)
    return row


def _write(file: Path, chunks: Iterable[bytes]) -> int:
    return take_in(
        file, chunks, most=settings.CHAOSBOARD_HISTORY_LIMIT, free=settings.CHAOSBOARD_FREE_DISK,
        remedy="Delete histories that are not needed.",
    )  # fmt: skip


def _choices(given: dict[str, Any]) -> dict[str, Any]:
    """How it is to be judged; raises BadInput naming each field that is wrong."""
    spec, checker = str(given.get("spec") or ""), str(given.get("checker") or "")
    level, problems = str(given.get("level") or ""), []
    for name, value, known in (
        ("spec", "" if spec == "auto" else spec, SPECS.names()), ("checker", checker, CHECKERS.names()),
        ("level", level, levels()),
    ):  # fmt: skip
        if value and value not in known:
            problems.append(Problem(name, f"{value!r} is not one of {', '.join(known)}"))
    limit = given.get("limit") or 60
    try:
        limit = int(limit)
    except (TypeError, ValueError):
        limit = -1
    if not LIMITS[0] <= limit <= LIMITS[1]:
        problems.append(
            Problem("limit", f"must be a whole number of seconds from {LIMITS[0]} to {LIMITS[1]}")
        )
    if problems:
        raise BadInput(problems)
    return {"spec": "" if spec == "auto" else spec, "checker": checker, "level": level, "limit": limit}


def levels() -> list[str]:
    """The isolation levels that transactions can be held to."""
    from engine.parameters import parameters

    found = (p for p in parameters(CHECKERS.get("list-append")) if p.name == "level")
    return list(next(found).choices or ())


def again(history: History, **given: Any) -> None:
    """Judges it once more, by other rules if some are given. Raises BadInput, or Refused while it is judged."""
    choices = _choices(given)
    changed = History.objects.filter(pk=history.pk, state__in=(State.JUDGED, State.UNREADABLE)).update(
        **choices, state=State.WAITING, progress="", verdict="", headline="", error="", result=None, sent_at=None,
    )  # fmt: skip
    if not changed:
        raise Refused("It is being judged already.")
    enqueue(history.pk)


def describe(history: History, name: str, note: str) -> None:
    history.name, history.note = name.strip()[:120] or history.filename, note.strip()
    history.save(update_fields=["name", "note"])


def delete(history: History) -> None:
    directory = history.directory
    history.delete()
    shutil.rmtree(directory, ignore_errors=True)


# From a row to a worker


def enqueue(pk: int) -> None:
    """The row is the truth: where the broker is away, the tick sends it later."""
    transaction.on_commit(lambda: _send(pk))


def _send(pk: int) -> None:
    History.objects.filter(pk=pk, state=State.WAITING).update(sent_at=timezone.now())
    if settings.REDIS_URL and not reachable():
        log.warning("history %s waits, the broker is away", pk)
        return
    try:
        current_app.send_task("histories.judge", args=[pk], queue="runs", retry=False, expires=30)
    except (OperationalError, KombuError, OSError) as error:
        log.warning("history %s waits, the broker is away: %s", pk, error)


def tick() -> None:
    """Sends again what waits, and what lost its worker."""
    now = timezone.now()
    History.objects.filter(state=State.JUDGING, heard_at__lt=now - LOST_AFTER).update(
        state=State.WAITING, claim="", sent_at=None
    )
    waiting = History.objects.filter(Q(sent_at=None) | Q(sent_at__lt=now - AGAIN), state=State.WAITING)
    for pk in waiting.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]:
        _send(pk)


def perform(pk: int) -> None:
    """Judges it, if it can be claimed; a message that comes twice does nothing the second time."""
    claim = secrets.token_hex(8)
    with transaction.atomic():
        if History.objects.filter(state=State.JUDGING).count() >= AT_ONCE:
            return
        mine = History.objects.filter(pk=pk, state=State.WAITING)
        if not mine.update(state=State.JUDGING, claim=claim, heard_at=timezone.now(), progress="starting"):
            return
    held = History.objects.filter(pk=pk, claim=claim, state=State.JUDGING)

    def heard(words: str) -> bool:
        return bool(held.update(heard_at=timezone.now(), progress=words[:120]))

    history = History.objects.get(pk=pk)
    try:
        found = judge(history, heard)
    except Unreadable as error:
        held.update(state=State.UNREADABLE, error=str(error), judged_at=timezone.now(), progress="")
    else:
        held.update(
            state=State.JUDGED, verdict=found["verdict"], headline=found["headline"], result=found,
            judged_at=timezone.now(), progress="",
        )  # fmt: skip
    if not History.objects.filter(pk=pk).exists():
        shutil.rmtree(history.directory, ignore_errors=True)
