"""The map of everything: services, their nodes, who depends on whom, what is hurt and what is cut."""

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from apps.runs.models import Event, Injection, Run
from apps.targets.models import Node, Target

RECENT = 20  # intervals of a run


def context() -> dict[str, Any]:
    """`picture` is for the browser to draw, `services` for the same in words."""
    targets = list(Target.objects.select_related("environment").prefetch_related("nodes", "depends_on"))
    hurt, cuts, answered = _hurt(), _cuts(), _answered()
    levels = _levels({t.pk: [needed.pk for needed in t.depends_on.all()] for t in targets})
    services = [
        {
            "id": target.pk,
            "name": target.name,
            "kind": target.kind,
            "state": target.state,
            "url": reverse("targets:detail", args=[target.pk]),
            "level": levels[target.pk],
            "cuts": sorted(map(list, cuts.get(target.pk, ()))),
            "nodes": [_node(target, node, hurt) for node in target.nodes.all()],
            "answered": answered.get(target.pk, {}),
            "needs": [needed.pk for needed in target.depends_on.all()],
        }
        for target in targets
    ]
    names = {target.pk: target.name for target in targets}
    words = [
        {**service, "needed": [names[pk] for pk in service["needs"] if pk in names]} for service in services
    ]
    return {"picture": {"services": services}, "services": words}


def _node(target: Target, node: Node, hurt: set[tuple[int, str]]) -> dict[str, Any]:
    asked = urlencode({"target": target.pk, "node": node.name})
    return {
        "name": node.name,
        "up": node.up,
        "leads": bool(node.up and node.leads),
        "hurt": (target.pk, node.name) in hurt,
        "url": f"{reverse('experiments:add')}?{asked}",
    }


def _hurt() -> set[tuple[int, str]]:
    rows = Injection.objects.filter(state__in=Injection.HURTING)
    return set(rows.values_list("run__target", "node"))


def _cuts() -> dict[int, set[tuple[str, str]]]:
    """By service: the links, one way each, that a fault cuts now."""
    runs = Injection.objects.filter(state__in=Injection.HURTING).values("run")
    told = Event.objects.filter(run__in=runs, kind="fault").order_by("n")
    last = {(e.run_id, e.data.get("id")): e for e in told.select_related("run")}
    found: dict[int, set[tuple[str, str]]] = {}
    for event in last.values():
        if event.data.get("state") in Injection.HURTING:
            links = {(str(a), str(b)) for a, b in event.data.get("links") or ()}
            found.setdefault(event.run.target_id, set()).update(links)
    return found


def _answered() -> dict[int, dict[str, float]]:
    """By service that is watched by a run now: which share of the answers each server behind it gave lately."""
    found = {}
    for run in Run.objects.filter(state=Run.State.RUNNING).only("target_id"):
        last = run.events.filter(kind="interval").order_by("-n").values_list("data__answered", flat=True)
        counts: Counter[str] = sum((Counter(told or {}) for told in last[:RECENT]), Counter())
        total = counts.total()
        found[run.target_id] = {name: times / total for name, times in sorted(counts.items())}
    return found


def _levels(needs: dict[int, list[int]]) -> dict[int, int]:
    """How many steps a service is from those that nobody needs; a circle ends where it is met again."""
    levels = dict.fromkeys(needs, 0)
    for _ in needs:
        for pk, needed in needs.items():
            for other in needed:
                if other in levels and levels[other] <= levels[pk] < len(needs) - 1:
                    levels[other] = levels[pk] + 1
    order = {level: i for i, level in enumerate(sorted(set(levels.values())))}
    return {pk: order[level] for pk, level in levels.items()}
