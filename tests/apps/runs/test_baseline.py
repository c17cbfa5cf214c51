from typing import Any

import pytest

from apps.runs.baseline import Tolerance, share_of, worse
from apps.runs.models import Figures
from engine.errors import BadInput
from tests.apps import factories
from tests.apps.runs.test_commands import status, worker  # noqa: F401


def figures(**row: Any) -> Figures:
    values = {
        "verdict": "held", "detect": 0.2, "recover": 2.0, "recover_healed": 1.0, "uncertainty": 0.1,
        "availability": 0.95, "broken": True,
    }  # fmt: skip
    return Figures(**{**values, **row})


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({}, []),
        ({"recover": 2.39}, []),
        ({"recover": 2.41}, ["time to recover from injected"]),
        ({"availability": 0.941}, []),
        ({"availability": 0.939}, ["availability"]),
        ({"availability": None}, ["availability"]),
        ({"verdict": "unknown"}, ["verdict"]),
        ({"verdict": "violated", "recover": None}, ["verdict", "time to recover from injected"]),
        ({"broken": False, "detect": None, "recover": None, "availability": 1.0}, []),
        ({"recover": 0.5, "availability": 1.0}, []),
    ],
)
def test_a_run_is_worse_only_beyond_the_tolerance_and_the_errors_of_measuring(now, told: list[str]) -> None:
    found = worse(figures(**now), figures(), Tolerance())
    assert len(found) == len(told)
    for line, words in zip(found, told, strict=True):
        assert f"the {words} is" in line


def test_a_wider_tolerance_lets_more_through() -> None:
    now = figures(recover=2.9, availability=0.90)
    assert len(worse(now, figures(), Tolerance())) == 2
    assert worse(now, figures(), Tolerance(slower=0.5, less_available=0.06)) == []


def test_a_baseline_that_violated_is_no_worse_than_itself() -> None:
    base = figures(verdict="violated", recover=None, availability=None)
    assert worse(base, base, Tolerance()) == []
    assert worse(figures(), base, Tolerance()) == []


def test_a_tolerance_is_a_share() -> None:
    assert share_of("12.5%") == 0.125
    for text in ("10", "-1%", "much", "%", "nan%"):
        with pytest.raises(BadInput):
            share_of(text)


@pytest.mark.django_db(transaction=True)
def test_the_command_ends_with_1_where_the_run_is_worse_and_says_how(worker, capsys) -> None:  # noqa: F811
    experiment = factories.experiment()
    recovery = {
        "broken": True,
        "uncertainty": 0.1,
        "availability": 0.95,
        "time_to_recover_from_injected": 2.0,
    }
    worker["recovery"] = recovery
    assert status(experiment.name, wait=True) == 0
    base = str(Figures.objects.get().run_id)
    assert status(experiment.name, baseline=base) == 0
    worker["recovery"] = {**recovery, "time_to_recover_from_injected": 9.0}
    assert status(experiment.name, baseline=base) == 1
    assert (
        f"worse than run {base}: the time to recover from injected is 9.00 s, and was 2.00 s"
        in capsys.readouterr().out
    )
    assert status(experiment.name, baseline=base, slower="400%") == 0
    assert status(experiment.name, baseline="999") == 3
    assert status(experiment.name, baseline=base, slower="much") == 3
    assert experiment.runs.count() == 4
