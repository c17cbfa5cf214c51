"""Jepsen's history.edn, as it is -> columns of events."""

from typing import Any

from engine import edn
from engine.gathering import Gatherer
from engine.pairing import Events, bad

PARTS = ("read", "write", "cas", "add", "enqueue", "dequeue", "drain")  # the f that jepsen.independent lifts


def read(data: bytes) -> Events:
    """One map an operation, on lines of their own or all in one vector. Raises BadInput with the line."""
    lines, events = [], []
    for line, value in edn.read(data.decode(errors="replace")):
        for event in value if isinstance(value, list) else [value]:
            if not isinstance(event, dict):
                bad(line, "is not an operation; one looks like {:type :invoke, :f :read, :process 0, …}")
            lines.append(line)
            events.append(_event(event))
    if _independent(events):
        for event in events:
            if isinstance(event.get("value"), list) and len(event["value"]) == 2:
                event["key"], event["value"] = event["value"]
    gathered = Gatherer()
    gathered.take(lines, events)
    return gathered.events()


def _event(event: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {
        name: event[name]
        for name in ("index", "time", "process", "type", "f", "value", "key")
        if name in event
    }
    error = event.get("error")
    if error is not None:
        kept["error"] = error if isinstance(error, str) else _words(error)
    return kept


def _words(error: Any) -> str:
    return " ".join(map(_words, error)) if isinstance(error, list) else str(error)


def _independent(events: list[dict[str, Any]]) -> bool:
    """Are the values [key value] of jepsen.independent? Then a read is asked as [key nil]."""
    asked = [e for e in events if e.get("type") == "invoke" and isinstance(e.get("process"), int)]
    if not asked or any(e.get("f") not in PARTS or "key" in e for e in asked):
        return False
    if not all(isinstance(e.get("value"), list) and len(e["value"]) == 2 for e in asked):
        return False
    return any(
        (e["f"] in ("read", "dequeue") and e["value"][1] is None)
        or (e["f"] == "cas" and isinstance(e["value"][1], list))
        for e in asked
    )
