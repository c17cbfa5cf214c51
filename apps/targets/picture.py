"""What the map of a service shows: its nodes as they were seen last, its links, and which of them are cut."""

from typing import Any

from apps.targets.models import Target
from engine.links import rows
from engine.topology import Cuts


def picture(target: Target, cuts: Cuts = frozenset()) -> dict[str, Any]:
    """For the browser to draw."""
    nodes = [
        {"name": n.name, "up": n.up, "leads": bool(n.up and n.leads), "note": ", ".join(n.tags)}
        for n in target.nodes.all()
    ]
    return {"nodes": nodes, "cuts": sorted(map(list, cuts))}


def context(target: Target, cuts: Cuts = frozenset()) -> dict[str, Any]:
    """For the templates `parts/map.html` and `parts/links.html`."""
    return {"picture": picture(target, cuts), "links": rows(target.to_engine(), cuts)}
