"""When: a cron line in a time zone. One row a slot, so that no slot can start twice."""

from django.db import models
from django.utils.timezone import now


class Schedule(models.Model):
    class CatchUp(models.TextChoices):
        SKIP = "skip", "record it as missed, start nothing"
        NEWEST = "newest", "start the newest missed one, once"

    experiment = models.ForeignKey("experiments.Experiment", models.PROTECT, related_name="schedules")
    cron = models.CharField(max_length=100)
    timezone = models.CharField("time zone", max_length=64, default="UTC")
    enabled = models.BooleanField(default=True)
    catch_up = models.CharField("after an absence", max_length=10, choices=CatchUp, default=CatchUp.SKIP)
    since = models.DateTimeField(default=now, help_text="Fire times before this are not its own.")
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["experiment__name", "pk"]

    def __str__(self) -> str:
        return f"{self.experiment}: {self.cron} ({self.timezone})"


class Slot(models.Model):
    class State(models.TextChoices):
        DUE = "due"
        STARTED = "started"
        MISSED = "missed"
        SKIPPED = "skipped"
        REFUSED = "refused"

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="slots")
    fire_time = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    run = models.ForeignKey("runs.Run", models.SET_NULL, null=True, blank=True, related_name="slots")
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-fire_time"]
        constraints = [models.UniqueConstraint(fields=["schedule", "fire_time"], name="a_slot_starts_once")]

    def __str__(self) -> str:
        return f"{self.schedule_id} at {self.fire_time:%Y-%m-%d %H:%M:%S}: {self.state}"
