"""Cron lines in a time zone: fire times that are right when clocks change, and the line in words. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from cron_descriptor import Options, get_description
from cron_descriptor.Exception import FormatError
from cronsim import CronSim, CronSimError

from engine.errors import BadInput, Problem

EXAMPLE = "30 2 * * 1-5"
FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
MOST = 100  # missed fire times that are told one by one
STEPS = 20_000  # fire times that are looked at from the start of an absence; 14 days of every minute
LAST = timedelta(days=1)  # of a longer absence, what is told one by one


@dataclass(frozen=True)
class Missing:
    """The newest fire times of a span, oldest first; `more` is True where older ones are not told."""

    times: tuple[datetime, ...]
    more: bool = False


@cache
def zones() -> frozenset[str]:
    """The time zones there are; looking them up reads some hundred files."""
    return frozenset(available_timezones())


@cache
def common_zones() -> tuple[str, ...]:
    """Those that are named after a place, and UTC."""
    return ("UTC", *sorted(zone for zone in zones() if "/" in zone and not zone.startswith("Etc/")))


def check(cron: str, zone: str) -> None:
    """Raises BadInput saying what would be right, at `cron` and at `timezone`."""
    problems = [Problem("cron", why)] if (why := _wrong(cron)) else []
    if zone not in zones():
        problems.append(
            Problem("timezone", f"there is no time zone {zone!r}; write one like Europe/Berlin or UTC")
        )
    if problems:
        raise BadInput(problems)


def _wrong(cron: str) -> str:
    parts = cron.split()
    if len(parts) != len(FIELDS):
        return f"has {len(parts)} fields, not five: {', '.join(FIELDS)}; write it like {EXAMPLE}"
    try:
        next(CronSim(cron, datetime.now(UTC)))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ").replace("day-of-month", "day of the month")
        return f"the {field.replace('day-of-week', 'day of the week')} is not right; write it like {EXAMPLE}"
    except StopIteration:
        return "never comes: there is no such day"
    return ""


def words(cron: str) -> str:
    """`At 02:30, Monday through Friday`; the line itself where it cannot be told."""
    options = Options()
    options.use_24hour_time_format = True
    options.verbose = False
    try:
        text = str(get_description(cron, options))
    except (FormatError, ValueError, IndexError):
        return cron
    return f"{text}, every day" if text.startswith("At ") and "," not in text else text


def after(cron: str, zone: str, moment: datetime) -> Iterator[datetime]:
    """The fire times after `moment`, in UTC, each once and in order, also when clocks change."""
    last = moment.astimezone(UTC)
    for local in CronSim(cron, moment.astimezone(ZoneInfo(zone))):
        time = local.astimezone(UTC)
        if time > last:  # an hour that comes twice is entered by its first time of day
            yield (last := time)


def following(cron: str, zone: str, moment: datetime, count: int = 5) -> list[datetime]:
    times = after(cron, zone, moment)
    return [time for _, time in zip(range(count), times, strict=False)]


def between(cron: str, zone: str, start: datetime, end: datetime) -> Missing:
    """The fire times after `start` and up to `end`; a bounded amount of work whatever the span."""
    found: deque[datetime] = deque(maxlen=MOST)
    seen = 0
    for time in after(cron, zone, start):
        if time > end:
            return Missing(tuple(found), seen > MOST)
        found.append(time)
        seen += 1
        if seen >= STEPS and time < end - LAST:
            return Missing(between(cron, zone, end - LAST, end).times, True)
    return Missing(tuple(found), seen > MOST)
