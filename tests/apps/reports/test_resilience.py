"""The score of a service, from trials alone."""

import pytest

from apps.reports.resilience import Trial, score, worth
from apps.reports.trials import area, evidence

AREAS = {"kill": "processes", "pause": "processes", "latency": "network"}


def of(*trials: Trial, possible: tuple[str, ...] = ("processes", "network")):
    return score(trials, AREAS.__getitem__, possible)


def trial(fault: str = "kill", held: bool = True, age: float = 1.0, **more) -> Trial:
    return Trial(run=1, faults=(fault,), held=held, age=age, **more)


def points(found) -> list[float]:
    return [part.points for part in found.parts]


GOOD = {"recovers": True, "data": True}


def test_where_nothing_ran_there_is_no_score():
    found = of()
    assert found.total is None
    assert points(found) == [0, 0, 0, 0]
    assert not any(part.tested for part in found.parts)


def test_a_run_that_hurt_nothing_counts_for_nothing():
    assert of(Trial(run=1, faults=(), held=True, age=0.0)).total is None


def test_all_that_can_be_shown_is_a_hundred_and_never_more():
    assert of(trial(**GOOD), trial("latency", **GOOD)).total == 100
    assert of(*[trial(**GOOD), trial("latency", **GOOD), trial("pause", **GOOD)] * 9).total == 100


def test_what_was_not_measured_earns_nothing():
    assert points(of(trial())) == [40, 0, 0, 10]


def test_the_newest_run_of_a_fault_is_the_one_that_counts():
    assert points(of(trial(held=False, age=5), trial(age=1)))[0] == 40
    assert points(of(trial(age=5), trial(held=False, age=1)))[0] == 0


def test_each_fault_has_the_same_part_in_it():
    found = of(trial(), trial("pause", held=False))
    assert points(found)[0] == 20
    assert found.parts[0].told == "1 of 2 faults held; violated under pause"


def test_a_week_is_fresh_and_then_it_fades():
    assert worth(0) == worth(7) == 1
    assert worth(37) == pytest.approx(0.5)
    assert worth(67) == pytest.approx(0.25)
    assert of(trial(**GOOD, age=37), trial("latency", **GOOD, age=37)).total == 50


def test_a_score_only_falls_while_nothing_is_repeated():
    totals = [of(trial(**GOOD, age=age)).total for age in (0, 7, 10, 20, 50, 100, 400)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > totals[-1]


def test_what_is_ageing_says_so():
    assert not of(trial(age=7)).ageing
    assert of(trial(age=25)).ageing


def test_broken_data_bounds_the_whole():
    found = of(
        *[trial(fault, recovers=True, data=True) for fault in AREAS], trial(age=0, recovers=True, data=False)
    )
    assert found.capped
    assert found.total == 50


def test_areas_that_cannot_be_tried_are_not_asked_for():
    assert of(trial(**GOOD), possible=("processes",)).total == 100
    assert of(trial(**GOOD), possible=()).total == 100


def test_a_result_tells_what_was_hurt_and_what_was_found():
    result = {
        "faults": [{"name": "kill", "injected_at": 1.0}, {"name": "latency", "injected_at": None}],
        "recovery": {"time_to_recover_from_injected": 1.5},
        "expectations": [
            {"name": "recovers", "verdict": "held", "expected": "≤ 5 s"},
            {"name": "lost writes", "verdict": "unknown"},
        ],
        "checks": [{"name": "set", "verdict": "held"}],
    }
    assert evidence(result) == {
        "faults": ("kill",), "recovers": True, "data": True, "recovered_in": 1.5, "promised": "≤ 5 s",
    }  # fmt: skip
    assert evidence({}) == {
        "faults": (), "recovers": None, "data": None, "recovered_in": None, "promised": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "expected"),
    [("kill", "processes"), ("partition", "network"), ("memory", "resources"), ("clock-skew", "clock and names"),
     ("crash-loop", "processes"), ("action", "others"), ("of an older board", "others")],
)  # fmt: skip
def test_every_fault_has_an_area(fault: str, expected: str):
    assert area(fault) == expected
