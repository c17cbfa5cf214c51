"""The addresses of the board."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver, reverse


def names(patterns: list[Any], inside: str = "") -> Iterator[tuple[str, str]]:
    """(name with its namespaces, address) of each page."""
    for one in patterns:
        if isinstance(one, URLPattern):
            yield f"{inside}{one.name}", str(one.pattern)
        else:
            yield from names(one.url_patterns, f"{inside}{one.namespace}:" if one.namespace else inside)


def test_no_two_pages_have_the_same_name() -> None:
    counted = Counter(name for name, _ in names(get_resolver().url_patterns) if not name.startswith("api:"))
    assert {name for name, times in counted.items() if times > 1} == set()


def test_a_note_on_a_run_that_goes_on_and_one_on_its_report_go_to_different_places() -> None:
    assert reverse("runs:note", args=[7]) == "/runs/7/note/"
    assert reverse("runs:report_note", args=[7]) == "/runs/7/report/note/"
