"""The drawings, as figures."""

import pytest

from apps.histories import figures
from apps.histories.cycle import circle
from apps.histories.drawing import tick, timeline
from engine.check import own_checker
from engine.history import read
from engine.story import stories
from tests.apps.histories.conftest import FOLDER


def story(which: str) -> dict:
    history = read(FOLDER / f"{which}.violated.jsonl")
    return stories(history, own_checker(which.partition("/")[0]).check(history).findings)[-1]


def percent(text: str) -> float:
    return float(text.removesuffix("%"))


def test_bars_stand_where_the_operations_were() -> None:
    one = story("register/old-value-again")
    drawn = timeline(one, [], None, {op["index"]: f"op-{op['index']}" for op in one["operations"]})
    assert [lane.name for lane in drawn.lanes] == ["client 0", "client 1", "client 2"]
    span = drawn.end - drawn.start
    for lane in drawn.lanes:
        for bar in lane.bars:
            assert percent(bar.x) == pytest.approx((bar.start - drawn.start) / span * 100, abs=1e-3)
            assert percent(bar.width) == pytest.approx((bar.end - bar.start) / span * 100, abs=1e-3)
    assert [bar.index for lane in drawn.lanes for bar in lane.bars if "culprit" in bar.kind] == [6]


def test_an_operation_that_never_ended_reaches_the_right_edge() -> None:
    (told,) = figures.told([story("register/unknown-write-lands-late")])
    (bar,) = [bar for lane in told.timeline.lanes for bar in lane.bars if "info" in bar.kind]
    assert bar.end is None
    assert percent(bar.x) + percent(bar.width) == pytest.approx(100, abs=0.01)


def test_faults_are_bands_on_the_same_axis() -> None:
    one = story("register/old-value-again")
    windows = figures.fault_windows([
        {"line": "cut n1", "injected_at": 0.004, "healed_at": 0.006},
        {"line": "kill n2", "injected_at": 0.007, "healed_at": None},
        {"line": "never begun", "injected_at": None, "healed_at": None},
    ])  # fmt: skip
    (told,) = figures.told([one], windows, 0.01)
    first, second = told.timeline.bands
    (lane,) = [lane for lane in told.timeline.lanes if lane.name == "client 1"]
    assert first.label == "cut n1"
    assert percent(first.x) == pytest.approx(percent(lane.bars[0].x) + percent(lane.bars[0].width), abs=0.01)
    assert percent(second.x) + percent(second.width) > 100


def test_what_happened_meanwhile_is_told_in_its_order_and_drawn() -> None:
    one = story("register/old-value-again")
    windows = [
        {"label": "cut n1", "start": 0.004, "end": 0.006},
        {"label": "kill n2", "start": one["end"] + 1, "end": None},
    ]
    changes = [
        {"lost_at": 0.004, "elected_at": 0.005, "from": "n1", "to": "n3"},
        {"lost_at": 0.006, "elected_at": None, "from": "n3", "to": None},
    ]
    (told,) = figures.told([one], windows, 0.01, changes)
    assert told.meanwhile == [
        "It was hurt (cut n1) from 4.0 ms to 6.0 ms.",
        "n3 took over from n1 at 5.0 ms.",
    ]
    (mark,) = told.timeline.marks
    drawn = told.timeline
    assert mark.label == "n3 leads"
    place = (0.005 - drawn.start) / (drawn.end - drawn.start) * 100
    assert percent(mark.x) == pytest.approx(place, abs=1e-3)


def test_a_circle_has_an_arrow_for_each_edge_and_a_node_for_each_transaction() -> None:
    one = story("list-append/read-skew")
    drawn = circle(one, {0: "op-0", 1: "op-1"})
    assert drawn
    assert {node.name for node in drawn.nodes} == {"T0", "T1"}
    assert [(arrow.kind, arrow.label) for arrow in drawn.arrows] == [("rw", "rw · y"), ("wr", "wr · x")]
    assert all(0 < node.x < drawn.width and 0 < node.y < drawn.height for node in drawn.nodes)
    assert circle(story("set/lost"), {}) is None


def test_the_levels_that_it_rules_out_and_those_that_it_does_not() -> None:
    (told,) = figures.told([story("list-append/write-skew")])
    assert told.rules_out == ["repeatable read", "serializable", "strict serializable"]
    assert told.still_holds == ["read uncommitted", "read committed", "snapshot isolation"]


def test_an_operation_in_two_stories_has_two_anchors() -> None:
    one = story("list-append/lost-update")
    first, second = figures.told([one, one])
    assert {row["anchor"] for row in first.rows} == {"op-0", "op-1"}
    assert not {row["anchor"] for row in first.rows} & {row["anchor"] for row in second.rows}


@pytest.mark.parametrize(
    ("time", "step", "says"),
    [
        (0.35, 0.05, "350 ms"),
        (61.05, 0.05, "61.05 s"),
        (0, 1e-6, "0 ms"),
        (4.0, 2.0, "4 s"),
        (1200, 500, "1,200 s"),
    ],
)
def test_ticks_have_the_digits_of_their_step(time: float, step: float, says: str) -> None:
    assert tick(time, step).replace("0.000 ms", "0 ms") == says
