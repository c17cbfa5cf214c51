"""When a fault was gone, and when traffic went again: two times of each fault window, told apart. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from engine import text
from engine.recovery import Resumed, resumed
from engine.series import Readings

OPERATIONS = "operations"


def traffic(
    fault: Mapping[str, Any], flows: Mapping[str, Readings], ns: Callable[[float], int]
) -> list[dict[str, Any]]:
    """A row for each flow that the fault stopped or was to stop; none where it was never seen to be gone.

    `fault` has nodes, injected_at, healing_at and healed_at in seconds of the run, which `ns` turns into
    monotonic ns; `flows` are what was sent to each node, by its name, and the OPERATIONS.
    """
    removed = fault.get("healed_at")
    if removed is None:
        return []
    injected, healing = ns(fault["injected_at"]), ns(_began(fault))
    found = {name: resumed(flow, injected, healing) for name, flow in flows.items() if len(flow.good)}
    return [
        _row(name, one, ns(removed), ns(0.0))
        for name, one in found.items()
        if one.stopped or name in fault["nodes"]
    ]


def _began(fault: Mapping[str, Any]) -> float:
    """When it began to be taken back; where nobody told, when it was seen to be gone."""
    began = fault.get("healing_at")
    return float(fault["healed_at"] if began is None else began)


def _row(name: str, one: Resumed, removed: int, zero: int) -> dict[str, Any]:
    """Times in seconds; `after` counts from the removal, 0 where it went again before that was read back."""
    at = one.at_ns
    return {
        "of": name,
        "stopped": one.stopped,
        "resumed_at": None if at is None else round((at - zero) / 1e9, 6),
        "after": None if at is None else round(max(at - removed, 0) / 1e9, 6),
        "uncertainty": None if at is None else round(one.uncertainty_ns / 1e9, 6),
    }


def told(fault: Mapping[str, Any]) -> list[str]:
    """In words, a sentence for each row of `fault["traffic"]`."""
    return [_told(row, f"{fault['healed_at']:.2f} s") for row in fault.get("traffic") or []]


def _told(row: Mapping[str, Any], gone: str) -> str:
    whose = "operations" if row["of"] == OPERATIONS else f"traffic to {row['of']}"
    if not row["stopped"]:
        return f"{whose} passed while it was there"
    if row["after"] is None:
        return f"it was gone at {gone}; {whose} never went again"
    within = f" ± {text.seconds(row['uncertainty'])}"
    if row["after"] == 0:
        return (
            f"{whose} went again at {row['resumed_at']:.2f} s{within}, as it was read back as gone at {gone}"
        )
    return f"it was gone at {gone}; {whose} went again {text.seconds(row['after'])} later{within}"
