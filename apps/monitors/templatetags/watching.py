"""What the monitor saw, for the pages of the board."""

from collections.abc import Iterable

from django import template

from apps.monitors import uptime
from apps.monitors.models import Incident
from apps.targets.models import Target

register = template.Library()


@register.simple_tag
def seen_of(targets: Iterable[Target]) -> dict[int, uptime.Seen]:
    return uptime.seen(targets)


@register.simple_tag
def seen_of_one(target: Target) -> uptime.Seen:
    return uptime.seen([target])[target.pk]


@register.simple_tag
def incidents_of(target: Target, most: int = 8) -> list[Incident]:
    return list(target.incidents.all()[:most])


@register.filter
def of(found: dict[int, uptime.Seen], target: Target) -> uptime.Seen | None:
    return found.get(target.pk)
