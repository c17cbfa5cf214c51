"""Watches who leads, from every node's point of view, and writes down each change of a view.

Where nodes tell how far they are in the log that is replicated, it also writes how far each is behind.
"""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from engine.clock import now_ns
from engine.drivers import addresses
from engine.errors import EngineError
from engine.probes import Leads, Probe, View
from engine.target import Target
from engine.wire import WireError

TIMEOUT = 1.0
LAG_EVERY = 50_000_000  # ns between two lags of a node that are written


class Watch:
    """Polled by `tick`; a node whose answer is still awaited is not asked again."""

    def __init__(self, probe: Probe, target: Target, path: Path) -> None:
        self._names = [node.name for node in target.nodes]
        self._sessions = [_leads(probe, session) for session in map(probe.session, target.nodes)]
        self._asking: list[asyncio.Task[None] | None] = [None] * len(self._names)
        self._seen: list[tuple[int, View | None] | None] = [None] * len(self._names)
        self._told: list[tuple[str | None, bool, int | None] | None] = [None] * len(self._names)
        self._known: dict[str, str] = {}  # identity -> node name
        for node in target.nodes:
            self._known |= dict.fromkeys(addresses(node), node.name)
        self._file = path.open("ab", buffering=0)
        self._lags = path.with_name("lags.jsonl").open("ab", buffering=0)
        self._lag_told = [0] * len(self._names)
        self._furthest = 0  # the position of a leader when it was last asked

    def tick(self, scheduled: int) -> None:
        for i, task in enumerate(self._asking):
            if task is None or task.done():
                self._asking[i] = asyncio.get_running_loop().create_task(self._ask(i))

    async def _ask(self, i: int) -> None:
        view: View | None = None
        try:
            async with asyncio.timeout(TIMEOUT):
                view = await self._sessions[i].view()
        except (WireError, TimeoutError):
            pass
        at = now_ns()
        if view and self._known.get(view.me) != self._names[i]:
            self._known[view.me] = self._names[i]
            self._seen[i] = (at, view)
            self._tell_all()
        self._seen[i] = (at, view)
        self._tell(i)
        if view and view.position is not None:
            self._tell_lag(i, at, view, view.position)

    def _tell_lag(self, i: int, at: int, view: View, position: int) -> None:
        """Behind what its leader said before: at least so many bytes, for that may have written since."""
        if view.leader == view.me:
            self._furthest = position
        elif self._furthest and at - self._lag_told[i] >= LAG_EVERY:
            self._lag_told[i] = at
            line = {"time": at, "node": self._names[i], "lag": max(self._furthest - position, 0)}
            self._lags.write(orjson.dumps(line) + b"\n")

    def _tell_all(self) -> None:
        """A newly met node may be the leader that others have been naming."""
        for i in range(len(self._names)):
            self._tell(i)

    def _tell(self, i: int) -> None:
        if None in self._seen:
            return  # the first round: the leader may not have said its name yet
        seen = self._seen[i]
        assert seen is not None
        at, view = seen
        leader = self._known.get(view.leader) if view and view.leader else None
        told = (leader, view is not None, view.term if view else None)
        if told != self._told[i]:
            self._told[i] = told
            line: dict[str, Any] = {
                "time": at, "node": self._names[i], "sees": leader, "reachable": told[1], "term": told[2],
            }  # fmt: skip
            self._file.write(orjson.dumps(line) + b"\n")
            if sum(t is None for t in self._told):
                self._tell_all()

    def close(self) -> None:
        self._file.close()
        self._lags.close()


def _leads(probe: Probe, session: object) -> Leads:
    if not isinstance(session, Leads):
        raise EngineError(
            f"{type(probe).__name__} cannot tell who leads; choose a kind that can, such as etcd."
        )
    return session
