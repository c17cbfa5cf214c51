from typing import Any

from django.http import HttpRequest

from apps.runs.services import halted, hurt_now


def danger(request: HttpRequest) -> dict[str, Any]:
    """What every page shows: whether all is halted, and what is hurt now."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"halt": None, "hurt_now": []}
    return {"halt": halted(), "hurt_now": hurt_now()}
