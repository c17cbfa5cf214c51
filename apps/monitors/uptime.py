"""What was seen of services: heartbeat bars and uptime. What was not seen is unknown, and no uptime."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from apps.monitors.keeping import floor
from apps.monitors.models import Bucket
from apps.targets.models import Target

BARS = 30  # of a last hour
HOUR, DAY, MONTH = timedelta(hours=1), timedelta(days=1), timedelta(days=30)
WHOLE = 0.95  # a window of which less was seen says how much
WORDS = {
    "up": "up",
    "part": "up in part",
    "down": "down",
    "hurt": "hurt by an experiment",
    "none": "not seen",
}


@dataclass(frozen=True)
class Uptime:
    """Of one window. `share`: of the looks that count, those in which the service answered; None without
    any. Looks while an experiment hurt the service do not count. `seen`: seconds that were looked at."""

    window: timedelta
    share: float | None
    seen: float

    @property
    def whole(self) -> bool:
        return self.seen >= WHOLE * self.window.total_seconds()

    @property
    def of(self) -> str:
        """Of how much it speaks, where that is less than its window."""
        return "" if self.whole or self.share is None else f"of {_length(self.seen)} seen"


@dataclass(frozen=True)
class Seen:
    """`bars` are the kinds of two minutes each, oldest first."""

    bars: list[str]
    hour: Uptime
    day: Uptime
    month: Uptime

    @property
    def told(self) -> str:
        counted = [(word, self.bars.count(kind) * 60 // BARS) for kind, word in WORDS.items()]
        return "Last hour, by the minute: " + ", ".join(f"{word} {n} min" for word, n in counted if n)


def seen(targets: Iterable[Target], now: datetime | None = None) -> dict[int, Seen]:
    """By the target's key."""
    now = now or timezone.now()
    keys = [target.pk for target in targets]
    minutes: dict[int, list[Bucket]] = {}
    recent = Bucket.objects.filter(target__in=keys, span=Bucket.Span.MINUTE, start__gt=now - HOUR)
    for bucket in recent:
        minutes.setdefault(bucket.target_id, []).append(bucket)
    windows = {
        HOUR: _sums(keys, Bucket.Span.MINUTE, HOUR, now),
        DAY: _sums(keys, Bucket.Span.MINUTE, DAY, now),
        MONTH: _sums(keys, Bucket.Span.HOUR, MONTH, now),
    }
    return {
        pk: Seen(
            _bars(minutes.get(pk, []), now),
            *(_uptime(window, sums.get(pk)) for window, sums in windows.items()),
        )
        for pk in keys
    }


def _length(seconds: float) -> str:
    """A time that was looked at, in its largest unit: 40 s, 10 min, 5 h, 12 d."""
    units = (("d", 86400), ("h", 3600), ("min", 60))
    unit, size = next(((u, s) for u, s in units if seconds >= s), ("s", 1))
    return f"{seconds // size:.0f} {unit}"


def _sums(keys: list[int], span: int, window: timedelta, now: datetime) -> dict[int, dict[str, Any]]:
    rows = Bucket.objects.filter(target__in=keys, span=span, start__gt=now - window).order_by()
    parts = rows.values("target").annotate(
        ups=Sum("up"), parts=Sum("part"), downs=Sum("down"), covered=Sum("seconds")
    )
    return {row["target"]: row for row in parts}


def _uptime(window: timedelta, row: dict[str, Any] | None) -> Uptime:
    if row is None:
        return Uptime(window, None, 0.0)
    good, all_of_them = row["ups"] + row["parts"], row["ups"] + row["parts"] + row["downs"]
    return Uptime(window, good / all_of_them if all_of_them else None, row["covered"])


def _bars(minutes: list[Bucket], now: datetime) -> list[str]:
    """The worst that was seen in each two minutes; hurt where nothing else was worse than up."""
    each = 3600 // BARS
    last = floor(now, each)
    found: dict[datetime, list[Bucket]] = {}
    for bucket in minutes:
        found.setdefault(floor(bucket.start, each), []).append(bucket)
    starts = [last - timedelta(seconds=each * i) for i in reversed(range(BARS))]
    return [_kind(found.get(start, [])) for start in starts]


def _kind(buckets: list[Bucket]) -> str:
    return next((k for k in ("down", "part", "hurt", "up") if any(getattr(b, k) for b in buckets)), "none")
