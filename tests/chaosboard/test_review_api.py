"""Tags and the keeping of runs, as scripts see them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.runs import retention
from apps.runs.models import Run
from tests.apps import factories
from tests.apps.addresses import state
from tests.chaosboard.test_api import Script, api, places

__all__ = ["api", "state"]
pytestmark = pytest.mark.django_db


def runs(count: int) -> list[int]:
    of = factories.experiment()
    return [factories.run(of, state="done", verdict="held").pk for _ in range(count)]


def test_runs_are_tagged_found_by_their_tags_and_told_with_them(api: Script) -> None:
    one, two, three = runs(3)
    status, told = api("POST", "/tags", {"runs": [one, two, 999], "add": ["Release", "v2.0"]})
    assert (status, told) == (200, {"added": 2, "removed": 0, "missing": [999]})
    assert api("GET", f"/runs/{one}")[1]["tags"] == ["release", "v2.0"]
    assert api("POST", "/tags", {"runs": [two, three], "remove": ["release"]})[1]["removed"] == 2
    assert [run["id"] for run in api("GET", "/runs?tag=release")[1]["runs"]] == [one]
    assert [run["tags"] for run in api("GET", "/runs")[1]["runs"]] == [[], ["v2.0"], ["release", "v2.0"]]
    assert api("GET", "/tags")[1] == {"tags": [{"name": "release", "runs": 1}, {"name": "v2.0", "runs": 2}]}


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"runs": [1]}, "add"),
        ({"runs": "all", "add": ["a"]}, "runs"),
        ({"runs": [True], "add": ["a"]}, "runs"),
        ({"runs": [1], "add": ["two words"]}, "add"),
        ({"runs": [1], "remove": "a"}, "remove"),
    ],
)
def test_what_is_no_tag_is_told(api: Script, sent: dict[str, object], where: str) -> None:
    status, told = api("POST", "/tags", sent)
    assert (status, places(told)) == (400, {where})


def test_the_list_of_runs_takes_the_filters_of_its_page(api: Script) -> None:
    one, two = runs(2)
    Run.objects.filter(pk=one).update(archived=True)
    Run.objects.filter(pk=two).update(headline="37 writes are gone", verdict="violated")
    listed = {
        asked: [run["id"] for run in api("GET", f"/runs?{asked}")[1]["runs"]]
        for asked in ("", "archived=true", "q=writes", "verdict=held", f"before={two}&archived=true")
    }
    assert listed == {
        "": [two],
        "archived=true": [one],
        "q=writes": [two],
        "verdict=held": [],
        f"before={two}&archived=true": [one],
    }


def test_rules_are_tried_before_they_are_saved(api: Script) -> None:
    old, new = runs(2)
    Run.objects.filter(pk=old).update(finished_at=timezone.now() - timedelta(days=40))
    Run.objects.filter(pk=new).update(finished_at=timezone.now())
    status, told = api("POST", "/retention/preview", {"keep_days": 30})
    assert (status, told["due"]) == (200, {"count": 1, "first": [old]})
    assert retention.current() == retention.Rules()
    assert api("PUT", "/retention", {"keep_days": 30, "keep_tagged": False})[0] == 200
    kept = api("GET", "/retention")[1]
    assert (kept["keep_last"], kept["keep_days"], kept["keep_tagged"], kept["keep_violated"]) == (
        None,
        30,
        False,
        True,
    )
    assert kept["changed_by"] == "admin"
    assert retention.sweep() == 1
    assert api("GET", "/retention")[1]["swept"]["runs"] == 1


def test_a_rule_that_is_misspelt_deletes_nothing(api: Script) -> None:
    runs(2)
    status, told = api("PUT", "/retention", {"keep_last": 0, "keep_day": 3, "keep_tagged": "no"})
    assert (status, places(told)) == (400, {"keep_last", "keep_day", "keep_tagged"})
    assert retention.current() == retention.Rules()
