"""The judged runs of services as trials for their score, and the areas in which they can be hurt."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.utils import timezone

from apps.reports.resilience import Score, Trial, score
from apps.runs.models import Run
from engine import drivers
from engine.capabilities import Either
from engine.faults import REGISTRY as FAULTS

MOST = 60  # newest judged runs of a service that are looked at
AREAS = {  # by the capability that a fault needs
    "processes": ("Kill", "Pause", "Restart", "Scale", "Evict"),
    "network": ("Network", "Packets", "Filter", "Shaping", "Isolate"),
    "resources": ("Host", "Limit"),
    "clock and names": ("Wrap", "Family"),
    "roles and members": ("Lead", "Members", "Follow", "Cordon"),
}
_kept: dict[tuple[int, str, datetime | None], dict[str, Any]] = {}  # a judged run does not change
KEPT = 5000


def scores(targets: Iterable[Any]) -> dict[int, Score]:
    """By the target's key."""
    targets = list(targets)
    trials = trials_of([target.pk for target in targets])
    return {t.pk: score(trials.get(t.pk, []), area, possible(t)) for t in targets}


def trials_of(targets: list[int], now: datetime | None = None) -> dict[int, list[Trial]]:
    """Newest first, at most `MOST` of each."""
    now = now or timezone.now()
    judged = Run.objects.filter(target__in=targets, verdict__in=("held", "violated"), state=Run.State.DONE)
    chosen: dict[int, list[tuple[int, str, datetime | None]]] = {}
    for pk, of, verdict, at in judged.order_by("-pk").values_list("pk", "target", "verdict", "finished_at"):
        if len(chosen.setdefault(of, [])) < MOST:
            chosen[of].append((pk, verdict, at))
    _load([key for keys in chosen.values() for key in keys if key not in _kept])
    return {
        of: [Trial(run=key[0], held=key[1] == "held", age=_age(key[2], now), **_kept[key]) for key in keys]
        for of, keys in chosen.items()
    }


def _age(at: datetime | None, now: datetime) -> float:
    return max((now - at).total_seconds() / 86400, 0.0) if at else 0.0


def _load(keys: list[tuple[int, str, datetime | None]]) -> None:
    if len(_kept) + len(keys) > KEPT:
        keys = [*keys, *(key for key in _kept if key not in keys)][:KEPT]
        _kept.clear()
    by_run = {key[0]: key for key in keys}
    for pk, result in Run.objects.filter(pk__in=by_run).values_list("pk", "result").iterator(200):
        _kept[by_run[pk]] = evidence(result or {})


def evidence(result: dict[str, Any]) -> dict[str, Any]:
    """What a run's result says for a score: the rest of a `Trial`."""
    hurt = [fault for fault in result.get("faults", []) if fault.get("injected_at") is not None]
    expectations = {item["name"]: item for item in result.get("expectations", [])}
    recovers = expectations.get("recovers", {})
    checks = [item for item in result.get("checks", []) if item.get("counted", True)]
    data = [item["verdict"] for item in (*checks, expectations.get("lost writes", {})) if item]
    return {
        "faults": tuple(dict.fromkeys(str(fault["name"]) for fault in hurt)),
        "recovers": _said(recovers.get("verdict")),
        "data": False if "violated" in data else True if "held" in data else None,
        "recovered_in": (result.get("recovery") or {}).get("time_to_recover_from_injected"),
        "promised": str(recovers.get("expected", "")),
    }


def _said(verdict: str | None) -> bool | None:
    return {"held": True, "violated": False}.get(verdict or "")


@lru_cache
def area(fault: str) -> str:
    """Where a fault belongs; `others` where its capability stands alone, or is not known any more."""
    needs: Any = FAULTS.get(fault).needs if fault in FAULTS else ()
    first = (
        needs.ways[0]
        if isinstance(needs, Either)
        else needs[0]
        if isinstance(needs, tuple) and needs
        else needs
    )
    name = getattr(first, "__name__", "")
    return next((area for area, names in AREAS.items() if name in names), "others")


def possible(target: Any) -> frozenset[str]:
    """The areas in which at least one of its nodes can be hurt; asked again when the service has changed."""
    return _possible(target, target.updated_at, int(timezone.now().timestamp() // 600))


@lru_cache(maxsize=500)
def _possible(target: Any, updated_at: datetime, now: int) -> frozenset[str]:
    nodes = target.to_engine().nodes
    found = {area(name) for name, fault in FAULTS if any(not drivers.lacks(n, fault.needs) for n in nodes)}
    return frozenset(found - {"others"})
