"""Who gets the weekly summary, and which have been sent: one row a week and person, so that none comes twice."""

from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models


def a_time_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValidationError(f"{name!r} is no time zone; write it as in Europe/Paris") from None


class Wish(models.Model):
    """A person who wants the summary: on which day, at which hour, of which time zone."""

    DAYS = [(i, day) for i, day in enumerate(
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    )]  # fmt: skip

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="weekly")
    wanted = models.BooleanField("send it to me", default=False)
    address = models.EmailField("e-mail", blank=True)
    timezone = models.CharField("time zone", max_length=64, default="UTC", validators=[a_time_zone])
    day = models.PositiveSmallIntegerField(choices=DAYS, default=0)
    hour = models.PositiveSmallIntegerField(default=8, choices=[(i, f"{i:02d}:00") for i in range(24)])
    since = models.DateTimeField(null=True, help_text="Weeks that were due before this are not sent.")

    def __str__(self) -> str:
        return f"{self.user}: {self.get_day_display()} {self.hour:02d}:00 {self.timezone}"


class Sent(models.Model):
    """One summary to one person. It is claimed before it is sent: a crash in between loses it, never doubles it."""

    wish = models.ForeignKey(Wish, models.CASCADE, related_name="sent")
    due = models.DateTimeField(help_text="the moment of the person's week")
    week = models.CharField(max_length=8, help_text="2026-W48, of the person's time zone")
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-due"]
        constraints = [models.UniqueConstraint(fields=["wish", "week"], name="one_summary_a_week")]

    def __str__(self) -> str:
        return f"{self.week} to {self.wish.user}"
