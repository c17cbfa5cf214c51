"""The score of a service, for its page."""

from django import template

from apps.reports import trials
from apps.reports.resilience import FRESH, HALF, Score
from apps.targets.models import Target

register = template.Library()


@register.simple_tag
def score_of(target: Target) -> Score:
    return trials.scores([target])[target.pk]


@register.simple_tag
def fading() -> dict[str, float]:
    return {"fresh": FRESH, "half": HALF}


@register.filter
def days(age: float | None) -> str:
    """An age in days, as people say it: today, 1 day, 12 days."""
    if age is None:
        return "–"
    whole = int(age)
    return "today" if not whole else "1 day ago" if whole == 1 else f"{whole} days ago"
