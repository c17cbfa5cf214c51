from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone


class History(models.Model):
    """A recorded history that somebody gave to be judged. Its file lies beside the database."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        JUDGING = "judging", "being judged"
        JUDGED = "judged", "judged"
        UNREADABLE = "unreadable", "could not be judged"

    name = models.CharField(max_length=120)
    note = models.TextField(blank=True)
    filename = models.CharField(max_length=200)
    size = models.BigIntegerField(help_text="bytes")
    uploaded_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    spec = models.CharField(max_length=40, blank=True, help_text="empty: told by the operations")
    checker = models.CharField(max_length=40, blank=True, help_text="empty: the spec's own")
    level = models.CharField(max_length=40, blank=True, help_text="that transactions are held to")
    limit = models.PositiveIntegerField(default=60, help_text="seconds after which the verdict is unknown")

    state = models.CharField(max_length=12, choices=State, default=State.WAITING, db_index=True)
    progress = models.CharField(max_length=120, blank=True)
    claim = models.CharField(max_length=64, blank=True)
    sent_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)
    judged_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=10, blank=True)
    headline = models.TextField(blank=True)
    error = models.TextField(blank=True, help_text="why it could not be read")
    result = models.JSONField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "histories"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("histories:detail", args=[self.pk])

    @property
    def directory(self) -> Path:
        return Path(settings.CHAOSBOARD_STATE) / "histories" / str(self.pk)

    @property
    def file(self) -> Path:
        return self.directory / f"history{Path(self.filename).suffix.lower()}"

    @property
    def busy(self) -> bool:
        return self.state in (self.State.WAITING, self.State.JUDGING)
