"""What only reports show."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.utils.safestring import SafeString

from apps.reports import charts
from engine.text import bound

register = template.Library()
register.filter("legend", charts.legend)


@register.filter
def distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


@register.filter
def told_tolerance(found: Mapping[str, Any] | Iterable[str] | str) -> SafeString | str:
    """The tolerance of a probe: `availability ≥ 99 %, p99 ≤ 200 ms`."""
    if isinstance(found, Mapping):
        return bound(", ".join(f"{key} {value}" for key, value in found.items()))
    return bound(found if isinstance(found, str) else ", ".join(found))
