"""What people add to a report: links for those without a login, notes and decisions, files."""

from pathlib import Path

from django.conf import settings
from django.core import signing
from django.db import models
from django.urls import reverse
from django.utils import timezone

SIGNER = signing.Signer(salt="reports.share")


class Share(models.Model):
    """A link with which anybody may read one report until it ends or is taken back."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="shares")
    made_by = models.CharField(max_length=150, blank=True)
    made_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"share {self.pk} of run {self.run_id}"

    def get_absolute_url(self) -> str:
        return reverse("shared:report", args=[self.token])

    @property
    def token(self) -> str:
        """Nobody can make one up, or one for another share, without the board's key."""
        return SIGNER.sign(str(self.pk))

    @property
    def open(self) -> bool:
        return self.revoked_at is None and timezone.now() < self.ends_at

    @property
    def became(self) -> str:
        return "open" if self.open else "taken back" if self.revoked_at else "ended"

    @classmethod
    def find(cls, token: str) -> "Share | None":
        """The share that the link is of; None where it is forged, over or taken back."""
        try:
            pk = SIGNER.unsign(token)
        except signing.BadSignature:
            return None
        found = (
            cls.objects.select_related("run__version__experiment", "run__target").filter(pk=int(pk)).first()
        )
        return found if found and found.open else None


class Note(models.Model):
    """Plain text. A decision goes with the report wherever it goes; a note stays on the board."""

    class Kind(models.TextChoices):
        NOTE = "note", "a note, for the board only"
        DECISION = "decision", "a decision, part of the report"

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="report_notes")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.NOTE)
    text = models.TextField()
    by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} on run {self.run_id}"


class Attachment(models.Model):
    """A file beside the report; its bytes lie in the state directory, under a name of ours."""

    run = models.ForeignKey("runs.Run", models.CASCADE, related_name="attachments")
    filename = models.CharField(max_length=200)
    size = models.PositiveIntegerField(help_text="bytes")
    by = models.CharField(max_length=150, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.filename

    @property
    def file(self) -> Path:
        return Path(settings.CHAOSBOARD_STATE) / "attachments" / str(self.run_id) / str(self.pk)
