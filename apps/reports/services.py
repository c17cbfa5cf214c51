"""What people can do with a report. Pages and the API call these and nothing else."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path, PurePath

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.reports.models import Attachment, Note, Share
from apps.runs.models import Run
from engine.errors import BadInput, Problem, Refused
from engine.state import take_in

DAYS = (1, 90)  # how long a link may last
LETTERS = 20_000  # of a note
FILES = 20  # of a run
ENDINGS = {
    ".csv", ".gif", ".gz", ".jpeg", ".jpg", ".json", ".jsonl", ".log", ".md", ".pcap", ".pdf", ".png", ".txt", ".webp",
    ".xz", ".yaml", ".yml", ".zip", ".zst",
}  # fmt: skip


def share(run: Run, days: object, by: object) -> Share:
    """A new link; raises BadInput."""
    try:
        lasting = int(str(days))
    except ValueError:
        lasting = 0
    if not DAYS[0] <= lasting <= DAYS[1]:
        raise BadInput([Problem("days", f"must be a whole number from {DAYS[0]} to {DAYS[1]}")])
    _over(run)
    return Share.objects.create(run=run, made_by=_name(by), ends_at=timezone.now() + timedelta(days=lasting))


def take_back(found: Share, by: object) -> bool:
    """False where it was taken back already."""
    open_ = Share.objects.filter(pk=found.pk, revoked_at=None)
    return bool(open_.update(revoked_at=timezone.now(), revoked_by=_name(by)))


def note(run: Run, text: object, kind: object, by: object) -> Note:
    problems = []
    if not isinstance(text, str) or not text.strip():
        problems.append(Problem("text", "is empty"))
    elif len(text) > LETTERS:
        problems.append(Problem("text", f"is longer than {LETTERS:,} letters"))
    if kind not in Note.Kind.values:
        problems.append(Problem("kind", f"must be one of {', '.join(Note.Kind.values)}"))
    if problems:
        raise BadInput(problems)
    return Note.objects.create(run=run, text=str(text).strip(), kind=kind, by=_name(by))


def attach(run: Run, chunks: Iterable[bytes], filename: str, by: object) -> Attachment:
    """Keeps a file beside the report; raises BadInput or Refused, and then nothing is stored."""
    name = PurePath(filename.replace("\\", "/")).name.strip()[-200:]
    if PurePath(name).suffix.lower() not in ENDINGS:
        raise BadInput(
            [
                Problem(
                    "file",
                    f"{name or 'it'} is of a kind that is not taken; these are: {' '.join(sorted(ENDINGS))}",
                )
            ]
        )
    if run.attachments.count() >= FILES:
        raise Refused(f"This report has {FILES} files already.", "Remove one first.")
    with transaction.atomic():
        row = Attachment.objects.create(run=run, filename=name, size=0, by=_name(by))
        row.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            row.size = _write(row.file, chunks)
            row.save(update_fields=["size"])
        except BaseException:
            row.file.unlink(missing_ok=True)
            raise
    return row


def _write(file: Path, chunks: Iterable[bytes]) -> int:
    return take_in(
        file, chunks, most=settings.CHAOSBOARD_ATTACHMENT_LIMIT, free=settings.CHAOSBOARD_FREE_DISK,
        remedy="Remove files that are not needed.",
    )  # fmt: skip


def detach(row: Attachment) -> None:
    file = row.file
    row.delete()
    file.unlink(missing_ok=True)


def _over(run: Run) -> None:
    if not run.done:
        raise Refused(f"Run {run.pk} is not over: it is {run.get_state_display()}.", "Share it when it is.")


def _name(who: object) -> str:
    return str(getattr(who, "username", who) or "")
