"""What is done with many runs at once: those that were ticked, or all that a filter finds."""

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from apps.runs import rejudging
from apps.runs.models import Injection, Label, Run
from engine.errors import BadInput, Problem, Refused

BATCH = 500
MOST_JUDGED = 500  # at once: each is work of seconds for a worker
TAG = re.compile(r"[\w][\w.:/-]{0,49}")
LETTERS = "letters, digits and . : / - in up to 50 characters"


@dataclass(frozen=True)
class Kept:
    """A run that is not deleted, and why."""

    run: int
    why: str


def tag_names(text: str) -> list[str]:
    """`weekly, before 2.0` -> the tags in lower case. Raises BadInput."""
    names = sorted({name.lower() for name in re.split(r"[\s,]+", text) if name})
    bad = [name for name in names if not TAG.fullmatch(name)]
    if not names or bad:
        why = f"{bad[0]!r} is no tag" if bad else "say which tag"
        raise BadInput([Problem("tags", f"{why}: {LETTERS}, spaces between tags")])
    return names


def tag(runs: QuerySet[Run], names: Iterable[str]) -> int:
    """Gives each run these tags; how many runs there were."""
    names, told = list(names), 0
    for pks in _batches(runs):
        Label.objects.bulk_create(
            [Label(run_id=pk, sort=Label.Sort.TAG, name=name) for pk in pks for name in names],
            ignore_conflicts=True,
        )
        told += len(pks)
    return told


def untag(runs: QuerySet[Run], names: Iterable[str]) -> int:
    names, told = list(names), 0
    for pks in _batches(runs):
        Label.objects.filter(run__in=pks, sort=Label.Sort.TAG, name__in=names).delete()
        told += len(pks)
    return told


def archive(runs: QuerySet[Run], archived: bool = True) -> int:
    told = 0
    for pks in _batches(runs.filter(state=Run.State.DONE)):
        told += Run.objects.filter(pk__in=pks).update(archived=archived)
    return told


def judge_again(runs: QuerySet[Run], by: str) -> int:
    """Asks workers to judge each run again; how many were asked for. Raises Refused where they are too many."""
    pks = list(
        runs.filter(state=Run.State.DONE).order_by("pk").values_list("pk", flat=True)[: MOST_JUDGED + 1]
    )
    if len(pks) > MOST_JUDGED:
        raise Refused(
            f"More than {MOST_JUDGED} runs are not judged again at once.", "Narrow the filter, or tick fewer."
        )
    for pk in pks:
        rejudging.enqueue(pk, by)
    return len(pks)


def delete(runs: QuerySet[Run]) -> tuple[int, list[Kept]]:
    """Deletes runs that are over with everything they left, also their files. How many, and what stays."""
    kept = [
        Kept(pk, "it is not over") for pk in runs.exclude(state=Run.State.DONE).values_list("pk", flat=True)
    ]
    hurting = Injection.objects.filter(run__in=runs, state__in=Injection.HURTING)
    held = set(hurting.values_list("run_id", flat=True))
    kept += [Kept(pk, "what it did has not been read back as clean") for pk in sorted(held)]
    gone = 0
    for pks in _batches(runs.filter(state=Run.State.DONE)):
        pks = [pk for pk in pks if pk not in held]
        with transaction.atomic():
            Run.objects.filter(pk__in=pks, state=Run.State.DONE).delete()
        for pk in pks:
            _remove_files(pk)
        gone += len(pks)
    return gone, kept


def _remove_files(pk: int) -> None:
    """The directory of a run. A link there is removed, and what it leads to stays."""
    path = Path(settings.CHAOSBOARD_STATE) / "runs" / str(pk)
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _batches(runs: QuerySet[Run]) -> Iterator[list[int]]:
    """The numbers of the runs, in parts small enough for one statement."""
    pks = list(runs.order_by("pk").values_list("pk", flat=True).distinct())
    for i in range(0, len(pks), BATCH):
        yield pks[i : i + BATCH]
