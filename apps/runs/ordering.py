"""Orders from people to a run that goes on: stored here, taken by its recorder, obeyed by the engine."""

from typing import Any

from django.utils import timezone

from apps.runs.halting import name_of
from apps.runs.models import Order, Run
from engine import orders
from engine.errors import BadInput, Problem, Refused
from engine.units import parse

KINDS: dict[str, Any] = {"note": orders.Note, "extension": orders.Extension}


def note(run: Run, text: str, by: object, at: str | float | None = None) -> None:
    """A note at a moment (seconds since the baseline began; None is now). Raises BadInput, Refused."""
    text = text.strip()
    if not text:
        raise BadInput([Problem("text", "is missing: what is to be noted?")])
    if len(text) > orders.LONGEST_NOTE:
        raise BadInput([Problem("text", f"is longer than {orders.LONGEST_NOTE} characters")])
    _store(run, "note", by, {"text": text, "at": None if at in (None, "") else _moment(at)})


def extend(run: Run, what: str, seconds: str | float, by: object) -> None:
    """More time for the fault `what`, or for the recovery; the engine may refuse, which the run's events tell."""
    length = _length(seconds)
    if not 0 < length <= orders.LONGEST:
        raise BadInput([Problem("seconds", f"is not between 0 and {orders.LONGEST:g} s")])
    _store(run, "extension", by, {"what": str(what), "seconds": length})


def _store(run: Run, kind: str, by: object, data: dict[str, Any]) -> None:
    if run.state != Run.State.RUNNING:
        over = "is over" if run.done else "has not begun"
        raise Refused(f"Run {run.pk} {over}; only a run that goes on takes orders.")
    Order.objects.create(run=run, kind=kind, by=name_of(by), data=data)


def take(run: Run) -> list[orders.Order]:
    """What came since it was last asked: each once, in the order in which it came."""
    waiting = list(run.orders.filter(taken_at=None))
    if not waiting:
        return []
    run.orders.filter(pk__in=[order.pk for order in waiting]).update(taken_at=timezone.now())
    return [KINDS[order.kind](by=order.by, **order.data) for order in waiting]


def _moment(value: object) -> float:
    try:
        return max(float(str(value)), 0.0)
    except ValueError:
        raise BadInput([Problem("at", f"{value!r} is no moment, in seconds")]) from None


def _length(value: object) -> float:
    try:
        return parse(value, "duration")
    except ValueError as error:
        raise BadInput([Problem("seconds", str(error))]) from None
