"""What the faults ask of a link, as the toxics that do it.

`how` is a mapping, times in seconds and sizes in bytes:

    delay, jitter, distribution     each way
    cut                             true
    direction                       both, to-node or from-node: where it acts; both if absent
"""

from collections.abc import Mapping
from typing import Any

from engine.proxy.toxics import Attributes, Toxic, kind_of

STREAMS = {"both": ("upstream", "downstream"), "to-node": ("upstream",), "from-node": ("downstream",)}


def toxics(mark: str, how: Mapping[str, Any], until: float) -> list[Toxic]:
    """Raises ValueError, TypeError or KeyError where `how` is not understood."""
    asked = {key: value for key, value in how.items() if value is not None and value is not False}
    streams = STREAMS[asked.pop("direction", "both")]
    found = [
        _toxic(mark, kind, stream, attributes, until)
        for kind, attributes in _read(asked)
        for stream in streams
    ]
    if asked:
        raise ValueError(f"unknown: {', '.join(asked)}")
    return found


def _read(asked: dict[str, Any]) -> list[tuple[str, Attributes]]:
    """Takes what it understands out of `asked`."""
    found: list[tuple[str, Attributes]] = []
    if "delay" in asked or "jitter" in asked:
        latency = {"latency": _ms(asked.pop("delay", 0)), "jitter": _ms(asked.pop("jitter", 0))}
        found.append(("latency", {**latency, "distribution": asked.pop("distribution", "uniform")}))
    if asked.pop("cut", False):
        found.append(("cut", {}))
    return found


def _ms(seconds: float) -> float:
    return float(seconds) * 1000


def _toxic(mark: str, type: str, stream: str, attributes: Attributes, until: float) -> Toxic:
    kind = kind_of(type)
    assert kind is not None
    every = {**kind.attributes, **kind.beyond, **attributes}
    if why := kind.wrong(every):
        raise ValueError(why)
    return Toxic(f"{mark}_{type}_{stream}", type, stream, 1.0, every, kind, mark=mark, until=float(until))
