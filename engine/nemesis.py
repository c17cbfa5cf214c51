"""When a history says that something was hurt: the events of its nemesis, which are no operations."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

MOST = 200  # windows
_START, _STOP = (
    re.compile(r"^(start|begin|kill|pause|isolate|inject)\b"),
    re.compile(r"^(stop|end|heal|resume|recover|restart)\b"),
)
Window = dict[str, Any]  # name, start and end in ns; end is None where it was never taken back


def windows(path: Path) -> list[Window]:
    """From the first event that begins a disturbance to the last that ends it; [] where nothing is told."""
    found: list[Window] = []
    for event in _events(path):
        f, time = event.get("f"), event.get("time")
        if not isinstance(f, str) or not isinstance(time, int):
            continue
        if _STOP.match(f):
            _close(found, _name(f), time)
        elif _START.match(f) and not _open(found, _name(f)):
            found.append({"name": _name(f), "start": time, "end": None, "told": f})
    return found[:MOST]


def _name(f: str) -> str:
    """`partition` of `start-partition` and of `stop-partition`; nothing of `start`."""
    return re.sub(r"^[a-z]+[-_ ]?", "", f)


def _open(found: list[Window], name: str) -> bool:
    """A nemesis tells of each step twice: when it sets out, and when it is done."""
    return any(one["end"] is None and one["name"] == name for one in found)


def _close(found: list[Window], name: str, time: int) -> None:
    mine = [one for one in found if not name or not one["name"] or one["name"] == name]
    still = [one for one in mine if one["end"] is None]
    for one in still or mine[-1:]:
        one["end"] = time


def _events(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            if b"nemesis" not in line or len(line) > 1 << 16:
                continue
            event = _json(line) if b'"' in line[:12] else _edn(line)
            if event and str(event.get("process", "")).lstrip(":") == "nemesis":
                yield event


def _json(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _edn(line: bytes) -> dict[str, Any] | None:
    """The name and the time; what else a nemesis says may be of any shape."""
    f = re.search(rb":f\s+:([\w-]+)", line)
    time = re.search(rb":time\s+(\d+)", line)
    if not f or not time or not re.search(rb":process\s+:nemesis", line):
        return None
    return {"process": "nemesis", "f": f[1].decode(), "time": int(time[1])}
