"""What a run reports: events, numbered from 1 without a gap.

The kinds and what they carry are written down in `docs/events.md`.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Emit = Callable[[list["Event"]], None]


@dataclass(frozen=True)
class Event:
    """`at` is in seconds since the run's start."""

    n: int
    at: float
    kind: str
    data: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Log:
    """Numbers the events of one run, keeps them in its directory, and hands them on in batches.

    An event is in the file before anybody is told of it.
    """

    def __init__(self, path: Path, emit: Emit, *, after: int = 0) -> None:
        self._file = open(path, "ab")  # noqa: SIM115 - open as long as the run
        self._emit, self._last = emit, after
        self._waiting: list[Event] = []

    def add(self, kind: str, at: float, /, **data: Any) -> None:
        self._last += 1
        event = Event(self._last, round(at, 6), kind, data)
        self._file.write(json.dumps(event.to_dict()).encode() + b"\n")
        self._waiting.append(event)

    def flush(self) -> None:
        """Returns when those who listen have what was added so far."""
        if self._waiting:
            self._file.flush()
            batch, self._waiting = self._waiting, []
            self._emit(batch)

    def close(self) -> None:
        self.flush()
        self._file.close()


def read(path: Path) -> list[Event]:
    """The events in a run's file; a last line that was cut off is left out."""
    if not path.exists():
        return []
    events = []
    for line in path.read_bytes().splitlines():
        try:
            events.append(Event(**json.loads(line)))
        except (ValueError, TypeError):
            break
    return events
