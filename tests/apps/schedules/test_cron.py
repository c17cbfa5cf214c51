from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from apps.schedules import cron
from engine.errors import BadInput

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(line: str, start: str, end: str, zone: str = BERLIN) -> list[str]:
    return [f"{t:%m-%d %H:%M}" for t in cron.between(line, zone, at(start), at(end)).times]


def test_a_time_that_clocks_skip_fires_once_when_they_have() -> None:
    # 29 March 2026, 02:00 becomes 03:00 (01:00 UTC)
    assert times("30 2 * * *", "2026-03-28 12:00", "2026-03-30 12:00") == ["03-29 01:00", "03-30 00:30"]


def test_a_time_that_clocks_repeat_fires_once() -> None:
    # 25 October 2026, 03:00 becomes 02:00 (01:00 UTC)
    assert times("30 2 * * *", "2026-10-24 12:00", "2026-10-26 12:00") == ["10-25 00:30", "10-26 01:30"]


def test_a_look_inside_the_repeated_hour_does_not_fire_again() -> None:
    assert times("30 2 * * *", "2026-10-25 00:30", "2026-10-25 23:00") == []
    assert times("30 2 * * *", "2026-10-25 01:10", "2026-10-25 23:00") == []


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_every_ten_minutes_goes_on_through_both_changes(day: str) -> None:
    found = cron.between("*/10 * * * *", BERLIN, at(f"{day} 00:00"), at(f"{day} 04:00")).times
    assert len(found) == 24
    assert {b - a for a, b in pairwise(found)} == {timedelta(minutes=10)}


def test_looking_piece_by_piece_finds_the_same_as_looking_once() -> None:
    start, end = at("2026-10-24 22:00"), at("2026-10-25 06:00")
    for line in ("*/20 * * * *", "5 * * * *", "15,45 1-3 * * *", "30 2 * * *"):
        whole = list(cron.between(line, BERLIN, start, end).times)
        pieces: list[datetime] = []
        moment = start
        while moment < end:
            after = moment + timedelta(minutes=7)
            pieces += cron.between(line, BERLIN, moment, min(after, end)).times
            moment = after
        assert pieces == whole, line


def test_a_year_away_is_bounded_work_and_says_so() -> None:
    found = cron.between("* * * * *", "UTC", at("2025-01-01 00:00"), at("2026-01-01 00:00"))
    assert len(found.times) == cron.MOST
    assert found.more
    assert found.times[-1] == at("2026-01-01 00:00")


def test_a_week_away_from_a_daily_line_is_told_in_full() -> None:
    found = cron.between("0 3 * * *", "UTC", at("2026-01-01 03:00"), at("2026-01-08 03:00"))
    assert (len(found.times), found.more) == (7, False)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "0 fields"),
        ("every day", "2 fields"),
        ("0 0 3 * * *", "6 fields"),
        ("61 * * * *", "minute"),
        ("0 3 * * FUNDAY", "day of the week"),
        ("0 0 30 2 *", "day of the month"),
    ],
)
def test_a_bad_line_is_answered_in_words(line: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        cron.check(line, "UTC")
    assert caught.value.problems[0].where == "cron"


@pytest.mark.parametrize("zone", ["", "Berlin", "../etc/passwd", "Europe/Berlin\x00"])
def test_a_bad_time_zone_is_answered_in_words(zone: str) -> None:
    with pytest.raises(BadInput, match="no time zone") as caught:
        cron.check("0 3 * * *", zone)
    assert caught.value.problems[0].where == "timezone"


def test_a_line_is_told_in_words() -> None:
    assert cron.words("30 2 * * 1-5") == "At 02:30, Monday through Friday"
    assert cron.words("0 3 * * *") == "At 03:00, every day"
    assert cron.words("*/7 * * * *") == "Every 7 minutes"
