"""The first violation in the history of a run, told while it goes on."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.checkers import Checker
from engine.live import Finding, Live
from engine.recorded import Tail


class Alarm:
    """Follows the history that the load writes, on behalf of all checkers that can judge it as it grows."""

    def __init__(self, checkers: dict[str, Checker], path: Path) -> None:
        self._tail = Tail(path)
        watchers = {name: watcher for name, one in checkers.items() if (watcher := one.live())}
        self._lives = {name: Live(watcher) for name, watcher in watchers.items()}

    def look(self, *, final: bool = False) -> tuple[str, Finding] | None:
        """The first violation and who found it, once; `final` is when nothing more will be written."""
        if not self._lives:
            return None
        try:
            events = list(self._tail.read())
            found = [(name, one) for name, live in self._lives.items() for one in _told(live, events, final)]
        except Exception:  # a run goes on without its alarm; whatever is wrong, the judge says so at the end
            self._lives = {}
            return None
        if not found:
            return None
        self._lives = {}
        return min(found, key=lambda one: certain(one[1]))


def _told(live: Live, events: Iterable[dict[str, Any]], final: bool) -> list[Finding]:
    return [*live.feed(events), *(live.close() if final else [])]


def certain(finding: Finding) -> int:
    """When the last of its operations had ended, monotonic ns."""
    ends: list[int] = [op["completed"] or op["invoked"] for op in finding["operations"]]
    return max(ends)
