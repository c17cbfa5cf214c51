"""Watches who leads, from every node's point of view, and writes down each change of a view."""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from engine.clock import now_ns
from engine.errors import EngineError
from engine.probes import Leads, Probe, View
from engine.target import Target
from engine.wire import WireError

TIMEOUT = 1.0


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
            for address in (node.address, node.upstream):
                self._known[address.replace("localhost:", "127.0.0.1:")] = node.name
        self._file = path.open("ab", buffering=0)

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


def _leads(probe: Probe, session: object) -> Leads:
    if not isinstance(session, Leads):
        raise EngineError(
            f"{type(probe).__name__} cannot tell who leads; choose a kind that can, such as etcd."
        )
    return session
