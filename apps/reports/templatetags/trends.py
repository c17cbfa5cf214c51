"""The trend of an experiment or a service as a section of its own page."""

from typing import Any

from django import template

from apps.reports.review_views import context

register = template.Library()


@register.inclusion_tag("parts/trend.html")
def trend_of(kind: str, pk: int) -> dict[str, Any]:
    """`kind` is experiment or target."""
    return context(kind, pk)
