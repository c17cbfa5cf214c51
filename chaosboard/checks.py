"""What `manage.py check` and every start find out before a user does."""

import os
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from engine import checkers, drivers, faults, probes, workloads

FAMILIES = (drivers, faults, probes, workloads, checkers)


@register
def plug_ins_load(**_kwargs: Any) -> list[CheckMessage]:
    """A plug-in's file that holds none, or two, would otherwise fail at its first use."""
    found: list[CheckMessage] = []
    for family in FAMILIES:
        try:
            family.REGISTRY.names()
        except (TypeError, ImportError) as error:
            found.append(Error(str(error), id="chaosboard.E001"))
    return found


@register
def state_is_writable(**_kwargs: Any) -> list[CheckMessage]:
    if os.access(settings.CHAOSBOARD_STATE, os.W_OK):
        return []
    hint = "Change its owner, or set CHAOSBOARD_STATE to a directory of yours."
    return [Error(f"{settings.CHAOSBOARD_STATE} cannot be written.", hint=hint, id="chaosboard.E002")]


@register
def not_open_to_everybody(**_kwargs: Any) -> list[CheckMessage]:
    if not settings.DEBUG or set(settings.ALLOWED_HOSTS) <= {"localhost", "127.0.0.1", "[::1]"}:
        return []
    hint = "Unset DEBUG: its error pages show the settings to whoever reaches the board."
    return [Warning("DEBUG is on while others can reach the board.", hint=hint, id="chaosboard.W001")]
