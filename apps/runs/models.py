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
    archived = models.BooleanField(default=False, help_text="hidden from lists; its report stays")
    target_version = models.CharField(
        max_length=100, blank=True, help_text="of the target, as whoever asked for the run named it"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"], condition=Q(state="running"), name="one_hurt_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["verdict", "id"], name="runs_by_verdict"),
            models.Index(fields=["created_at", "id"], name="runs_by_time"),
            models.Index(fields=["requested_by", "id"], name="runs_by_person"),
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


class Label(models.Model):
    """One word by which runs are found: a tag that a person gave, or a kind of fault that was planned."""

    class Sort(models.TextChoices):
        TAG = "tag"
        FAULT = "fault"

    run = models.ForeignKey(Run, models.CASCADE, related_name="labels")
    sort = models.CharField(max_length=5, choices=Sort)
    name = models.CharField(max_length=50)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["sort", "name", "run"], name="one_label_of_a_name")]

    def __str__(self) -> str:
        return self.name


class Figures(models.Model):
    """The figures of a run that is over, in a narrow row: trends read thousands of them. Times in seconds."""

    run = models.OneToOneField(Run, models.CASCADE, primary_key=True, related_name="figures")
    experiment = models.ForeignKey("experiments.Experiment", models.CASCADE, related_name="+")
    target = models.ForeignKey("targets.Target", models.CASCADE, related_name="+")
    at = models.DateTimeField(help_text="when the run began")
    version = models.PositiveIntegerField(help_text="of the experiment")
    target_version = models.CharField(max_length=100, blank=True)
    target_print = models.CharField(max_length=12, help_text="changes when the registered target does")
    verdict = models.CharField(max_length=10)
    ending = models.CharField(max_length=10)
    detect = models.FloatField(null=True)
    recover = models.FloatField(null=True, help_text="from injected")
    recover_healed = models.FloatField(null=True)
    uncertainty = models.FloatField(null=True)
    broken = models.BooleanField(default=False, help_text="whether a reading was out of tolerance")
    availability = models.FloatField(null=True)
    readings = models.PositiveIntegerField(default=0, help_text="that the availability is a share of")

    class Meta:
        indexes = [
            models.Index(fields=["experiment", "run"], name="figures_of_experiment"),
            models.Index(fields=["target", "run"], name="figures_of_target"),
            models.Index(fields=["at"], name="figures_by_time"),
        ]

    def __str__(self) -> str:
        return f"figures of run {self.run_id}"


class Judgement(models.Model):
    """What a run was judged to be before it was judged again."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="judgements")
    at = models.DateTimeField(default=timezone.now, help_text="when it was replaced")
    by = models.CharField(max_length=150)
    verdict = models.CharField(max_length=10)
    headline = models.TextField(blank=True)
    result = models.JSONField(null=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"run {self.run_id} was {self.verdict} until {self.at:%Y-%m-%d %H:%M}"


class Retention(models.Model):
    """Which runs are kept. One row; without it everything is kept for ever."""

    keep_last = models.PositiveIntegerField(null=True, blank=True, help_text="of each experiment")
    keep_days = models.PositiveIntegerField(null=True, blank=True)
    keep_tagged = models.BooleanField(default=True)
    keep_violated = models.BooleanField(default=True)
    changed_by = models.CharField(max_length=150, blank=True)
    changed_at = models.DateTimeField(auto_now=True)
    swept_at = models.DateTimeField(null=True)
    swept = models.PositiveIntegerField(default=0, help_text="runs that the last sweep deleted")

    def __str__(self) -> str:
        return f"keep {self.keep_last or 'all'} of each experiment, {self.keep_days or 'all'} days"
