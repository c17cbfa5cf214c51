"""Sending the week to whoever wants it, once."""

import logging
import smtplib
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import IntegrityError, transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import mark_safe

from apps.weekly.models import Sent, Wish
from apps.weekly.summary import Week, week

LATEST = timedelta(days=2)  # after the due moment: a board that was away for longer waits for the next week

log = logging.getLogger(__name__)


def due(wish: Wish, now: datetime) -> datetime:
    """The last moment at or before `now` at which that person's week ended, by the clock on their wall."""
    zone = ZoneInfo(wish.timezone)
    local = now.astimezone(zone)
    back = (local.weekday() - wish.day) % 7
    for days in (back, back + 7):
        day = (local - timedelta(days=days)).date()
        moment = datetime(day.year, day.month, day.day, wish.hour, tzinfo=zone)
        if moment <= now:
            return moment
    raise AssertionError("a week ago is before now")


def week_name(moment: datetime) -> str:
    year, number, _ = moment.isocalendar()
    return f"{year}-W{number:02d}"


def tick(now: datetime | None = None) -> int:
    """Sends what is due; how many were sent. Any number of these may run at once."""
    now = now or timezone.now()
    return sum(_send_if_due(wish, now) for wish in Wish.objects.filter(wanted=True).exclude(address=""))


def _send_if_due(wish: Wish, now: datetime) -> bool:
    moment = due(wish, now)
    if now - moment > LATEST or (wish.since and moment < wish.since):
        return False
    if (claimed := _claim(wish, moment)) is None:
        return False
    try:
        _mail(wish, week(moment)).send()
    except (OSError, smtplib.SMTPException) as error:
        log.warning("the weekly summary for %s was not sent: %s", wish.user, error)
        Sent.objects.filter(pk=claimed.pk).update(error=str(error)[:300])
        return False
    Sent.objects.filter(pk=claimed.pk).update(sent_at=timezone.now())
    return True


def _claim(wish: Wish, moment: datetime) -> Sent | None:
    """The row of that week, made now; None where somebody has made it before."""
    try:
        with transaction.atomic():
            return Sent.objects.create(wish=wish, due=moment, week=week_name(moment))
    except IntegrityError:
        return None


def _mail(wish: Wish, found: Week) -> EmailMultiAlternatives:
    text, html = drawn(wish, found, style=style())
    mail = EmailMultiAlternatives(f"[chaosboard] {found.subject}", text, None, [wish.address])
    mail.attach_alternative(html, "text/html")
    return mail


def drawn(wish: Wish, found: Week, style: str = "") -> tuple[str, str]:
    """The summary as plain text and as HTML, with times of the person's zone.

    A mail carries its style sheet within it; without `style` the HTML links the board's own, as a page must.
    """
    board = settings.CHAOSBOARD_URL.rstrip("/")
    context = {"week": found, "board": board, "wish": wish, "style": mark_safe(style)}
    with timezone.override(ZoneInfo(wish.timezone)):
        return render_to_string("weekly/mail.txt", context), render_to_string("weekly/mail.html", context)


@cache
def style() -> str:
    return (settings.BASE_DIR / "static/css/mail.css").read_text()
