from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone


class Run(models.Model):
    """One execution of one version of an experiment. `apps.runs.services` makes every transition."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "running"
        DONE = "done", "done"

    version = models.ForeignKey("experiments.ExperimentVersion", models.PROTECT, related_name="runs")
    target = models.ForeignKey("targets.Target", models.PROTECT, related_name="runs")
    target_document = models.JSONField(help_text="the target as it was when the run was asked for")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED, db_index=True)
    phase = models.CharField(max_length=20, blank=True)
    verdict = models.CharField(max_length=10, blank=True)
    ending = models.CharField(max_length=10, blank=True)
    headline = models.TextField(blank=True)
    stop_reason = models.TextField(blank=True)
    requested_by = models.CharField(max_length=150, blank=True)
    trigger = models.CharField(max_length=100, default="hand")
    created_at = models.DateTimeField(default=timezone.now)
    enqueued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=200, blank=True, help_text="who holds the run, and by which claim")
    result = models.JSONField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"], condition=Q(state="running"), name="one_hurt_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.name}"

    def get_absolute_url(self) -> str:
        return reverse("runs:detail", args=[self.pk])

    @property
    def name(self) -> str:
        return str(self.version.document.get("name") or self.version.experiment.name)

    @property
    def directory(self) -> Path:
        return Path(settings.CHAOSBOARD_STATE) / "runs" / str(self.pk)

    @property
    def channel(self) -> str:
        return f"run.{self.pk}"

    @property
    def done(self) -> bool:
        return self.state == self.State.DONE


class Event(models.Model):
    """What the engine reported, numbered from 1 without a gap; `at` is in seconds since the start."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="events")
    n = models.PositiveIntegerField()
    at = models.FloatField()
    kind = models.CharField(max_length=20)
    data = models.JSONField()

    class Meta:
        ordering = ["run", "n"]
        constraints = [models.UniqueConstraint(fields=["run", "n"], name="event_number")]

    def __str__(self) -> str:
        return f"{self.n} {self.kind}"

    def to_dict(self) -> dict[str, Any]:
        return {"n": self.n, "at": self.at, "kind": self.kind, "data": self.data}


class Order(models.Model):
    """What somebody asked of a run while it went on; its recorder takes it to the engine, once."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="orders")
    by = models.CharField(max_length=150)
    kind = models.CharField(max_length=20)
    data = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["run"], condition=Q(taken_at=None), name="orders_to_take")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.by}"


class Injection(models.Model):
    """The mirror of one undo record: one fault on one node, from before it is injected until it is clean."""

    HURTING = ("injecting", "active", "healing", "unverified", "stuck")

    run = models.ForeignKey(Run, models.CASCADE, related_name="injections")
    step = models.CharField(max_length=20)
    node = models.CharField(max_length=200)
    record_id = models.CharField(max_length=64, blank=True)
    line = models.TextField()
    state = models.CharField(max_length=12, db_index=True)
    text = models.TextField(blank=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "step", "node"], name="one_mirror_of_a_record")]

    def __str__(self) -> str:
        return f"{self.line}: {self.state}"


class Halt(models.Model):
    """Everything was stopped: by whom, why, and who lifted it. The file `halt` is what acts."""

    at = models.DateTimeField(default=timezone.now)
    by = models.CharField(max_length=150)
    reason = models.TextField()
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"halted by {self.by}: {self.reason}"
