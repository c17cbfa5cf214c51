"""The orders of drivers, one JSON line each; see the package for what is understood."""

import json
import time
from typing import Any

from engine.proxy.loop import Loop
from engine.switch import effect
from engine.switch.lanes import Lane, Lanes

STEP = 60.0  # seconds after which the wall clock is looked at again: it may have been set
LONGEST = 1 << 20  # bytes of a line


class Orders:
    def __init__(self, loop: Loop, lanes: Lanes) -> None:
        self._loop, self._lanes = loop, lanes
        self._until: dict[str, float] = {}

    def answer(self, come: bytearray) -> tuple[bytes, bool] | None:
        line, newline, _ = bytes(come).partition(b"\n")
        if not newline and len(come) < LONGEST:
            return None
        del come[: len(line) + 1]
        return json.dumps(self._understand(line)).encode() + b"\n", True

    def _understand(self, line: bytes) -> dict[str, Any]:
        try:
            return self._do(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return {"error": f"The lab's switch does not understand this: {error!r}."}

    def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        what = message["do"]
        if what == "hello":
            return {"ports": list(self._lanes.ports)}
        if what == "disturb":
            self._disturb(message)
        elif what == "clear":
            self._clear(str(message["mark"]))
        elif what != "read":
            raise ValueError(f"unknown order {what!r}")
        return {"marks": self._marks()}

    def _disturb(self, message: dict[str, Any]) -> None:
        """In place of what the mark did before."""
        mark, until = str(message["mark"]), float(message["until"])
        harm = effect.read(message["how"])
        lanes = self._meant(message["node"], message["others"], message.get("direction", "both"))
        self._clear(mark)
        for lane in lanes:
            lane.put(mark, harm)
        self._lanes.disturbed()
        self._until[mark] = until
        self._look(mark)

    def _meant(self, node: str, others: list[str], direction: str) -> list[Lane]:
        if direction not in ("both", "to-node", "from-node"):
            raise ValueError(f"unknown direction {direction!r}")
        if missing := sorted({node, *others} - set(self._lanes.ports)):
            raise ValueError(f"no such port: {', '.join(missing)}")
        others = [other for other in others if other != node]
        there = [self._lanes.lane(other, node) for other in others if direction != "from-node"]
        return there + [self._lanes.lane(node, other) for other in others if direction != "to-node"]

    def _look(self, mark: str) -> None:
        """Ends the disturbance when its time is over; it may have been cleared, or put anew."""
        left = self._until.get(mark, 0.0) - time.time()
        if left <= 0:
            self._clear(mark)
        else:
            self._loop.after(min(left, STEP), lambda: self._look(mark))

    def _clear(self, mark: str) -> None:
        if self._until.pop(mark, None) is not None:
            for lane in self._lanes.all():
                if mark in lane.effects:
                    lane.put(mark, None)
            self._lanes.disturbed()

    def _marks(self) -> dict[str, list[list[str]]]:
        """Those whose time is over are gone, also where the clock was set."""
        for mark in [mark for mark, until in self._until.items() if until <= time.time()]:
            self._clear(mark)
        found: dict[str, list[list[str]]] = {}
        for lane in self._lanes.all():
            for mark in lane.effects:
                found.setdefault(mark, []).append([lane.source.name, lane.target.name])
        return found
