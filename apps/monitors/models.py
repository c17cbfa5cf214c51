"""What the monitor saw: the last look of each service, its looks rolled up, and the times it was not up."""

from typing import Any

from django.db import models

from apps.targets.models import Target


class Status(models.TextChoices):
    UP = "up"
    PART = "part", "in part"
    DOWN = "down"


class Watch(models.Model):
    """The last look at a service. Whoever moves `looked_at` has the next look to itself."""

    target = models.OneToOneField(Target, models.CASCADE, related_name="watch")
    looked_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=4, choices=Status, blank=True)

    def __str__(self) -> str:
        return f"{self.target}: {self.status or 'not seen yet'}"


class Bucket(models.Model):
    """The looks of a minute or an hour. Those taken while an experiment hurt the service are `hurt` alone."""

    class Span(models.IntegerChoices):
        MINUTE = 60
        HOUR = 3600

    target = models.ForeignKey(Target, models.CASCADE, related_name="buckets")
    span = models.PositiveIntegerField(choices=Span)
    start = models.DateTimeField()
    up = models.PositiveIntegerField(default=0)
    part = models.PositiveIntegerField(default=0)
    down = models.PositiveIntegerField(default=0)
    hurt = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0.0, help_text="how much of it the looks stand for")

    class Meta:
        ordering = ["start"]
        constraints = [models.UniqueConstraint(fields=["target", "span", "start"], name="one_bucket_a_time")]

    def __str__(self) -> str:
        return f"{self.target_id} {self.start:%Y-%m-%d %H:%M}"

    def take(self, status: str, hurt: bool, seconds: float) -> None:
        """Counts one look; saving is the caller's."""
        kind = "hurt" if hurt else status
        setattr(self, kind, getattr(self, kind) + 1)
        self.seconds = min(self.seconds + seconds, float(self.span))


class Incident(models.Model):
    """A time in which a service was not wholly up, from the first look that saw it to the one that did not."""

    target = models.ForeignKey(Target, models.CASCADE, related_name="incidents")
    status = models.CharField(max_length=4, choices=Status, help_text="the worst that was seen")
    hurt = models.BooleanField(default=False, help_text="it began while an experiment hurt the service")
    answer = models.CharField(max_length=300, blank=True)
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="the last look that still saw it")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-began_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"], condition=models.Q(ended_at=None), name="one_open_incident"
            )
        ]

    def __str__(self) -> str:
        return f"{self.target} {self.status} from {self.began_at:%Y-%m-%d %H:%M:%S}"

    @property
    def lasted(self) -> float:
        """Seconds, as far as they were seen."""
        end: Any = self.ended_at or self.seen_at
        return (end - self.began_at).total_seconds()
