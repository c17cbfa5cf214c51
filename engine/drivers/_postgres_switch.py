"""The switch-over of PostgreSQL, in steps of which each can be the last of a process that is killed.

    prepared    the old primary runs still, or is stopped; whenever it starts again, it starts as a standby
    promoting   it was shut down in good order and the standby has replayed all of it: the standby leads
    returning   it is taken back: the standby was not promoted, and will not be, and the old primary leads again

At no stage can both lead. The old primary follows afterwards only where the standby went on from all that
it had written, for else PostgreSQL refuses to stream to it: that it streams says that nothing was lost.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import processes
from engine.capabilities import Captured, ReadBack
from engine.drivers import control
from engine.drivers._postgres import ask, is_standby, remember, remembered, source_of
from engine.drivers._postgres_files import PREPARED, PROMOTING, RETURNING, Files, shut_down_at
from engine.errors import EngineError, Unreachable
from engine.processes import SIGNALS, status
from engine.target import Node, split_address

LOOK = 0.05
STOPS = 10.0  # seconds for the old primary to shut down, which waits for its standbys to have all of its log
REPLAYS = 5.0  # seconds for the standby to replay it
TAKES_OVER = 10  # seconds for the standby to lead
RETURNS = 15.0  # seconds for the old primary to be back, as a standby or as the primary


@dataclass(frozen=True)
class Switch:
    """`captured` is what the driver's `capture_lead` gave: see there."""

    captured: Captured

    @property
    def me(self) -> str:
        return str(self.captured["me"])

    @property
    def to(self) -> str:
        return str(self.captured["to"])

    @property
    def name(self) -> str:
        return str(self.captured["node"]["name"])

    @property
    def files(self) -> Files:
        return Files(Path(self.captured["data"]), self.captured["id"])

    # Forward

    def prepare(self) -> None:
        self.files.begin()
        remember(self.me, self.captured["source"])
        ask(self.me, "CHECKPOINT")  # so that little is left to do while nobody leads
        self.files.make_standby()

    def stop(self) -> None:
        """Shuts the old primary down: its clients are sent away, its log reaches the standby.

        Where a healer has taken it back meanwhile, the old primary runs again before EngineError is raised.
        """
        try:
            self._prepared()
            self._shut_down()
            if not self.files.move(PREPARED, PROMOTING):
                self._prepared()
        except EngineError:
            if self.files.stage() != PREPARED:  # or whoever heals sees to it
                self._run(self._leads_again, "lead")
            raise

    def _prepared(self) -> None:
        if self.files.stage() != PREPARED:
            raise EngineError(f"The switch-over of {self.name} was taken back meanwhile.")

    def _shut_down(self) -> None:
        main = self.captured["control"]["family"][0]
        processes.send(main, SIGNALS["INT"])
        _wait(lambda: status(main) == "gone", STOPS, f"{self.name} did not shut down within {STOPS:.0f} s.")
        end = shut_down_at(self.captured["pg_controldata"], self.files.data)
        replayed = f"SELECT pg_last_wal_replay_lsn() > '{end}'::pg_lsn"
        why = f"{self.to} did not replay the log of {self.name} within {REPLAYS:.0f} s."
        _wait(lambda: ask(self.to, replayed)[0][0], REPLAYS, why)

    def finish(self) -> None:
        """From `promoting` on there is only this way, for whoever comes along it."""
        if is_standby(self.to) is not False:
            ask(self.to, "SELECT pg_promote(true, %s)", TAKES_OVER)
        if is_standby(self.to) is not False:
            raise EngineError(f"{self.to} did not take the lead within {TAKES_OVER} s.")
        self._run(lambda: is_standby(self.me) and self._follows(self.me, self.to), "follow")
        self.files.end()

    # Back

    def settle(self) -> None:
        """Brings to its end, or takes back, what a process left behind that was killed, or gave up."""
        if self.files.move(PREPARED, RETURNING) or self.files.stage() == RETURNING:
            self._return()
        elif self.files.stage() == PROMOTING:
            self.finish()

    def _return(self) -> None:
        self.files.make_primary()
        self._run(self._leads_again, "lead")
        if remembered(self.me, self.captured["data"]) == self.captured["source"]:
            remember(self.me, self.captured["before"])
        self.files.end()

    def _leads_again(self) -> bool:
        standby = is_standby(self.me)
        if standby:  # somebody started it while it was marked as one
            main = self._control.capture(self._node)["family"][0]
            processes.send(main, SIGNALS["INT"])
            _wait(lambda: status(main) == "gone", STOPS, f"{self.name} does not shut down.")
        return standby is False

    def _run(self, done: Callable[[], object], what: str) -> None:
        """Sees to it that the old primary runs, until `done`."""

        def look() -> object:
            self._control.start(self._node, self.captured["control"])
            return done()

        _wait(look, RETURNS, f"{self.name} did not {what} within {RETURNS:.0f} s.")

    @property
    def _node(self) -> Node:
        told = self.captured["node"]
        return Node(told["name"], told["address"], told["upstream"], told["control"], told["params"])

    @property
    def _control(self) -> Any:
        return control(self._node)

    # What is seen

    def led(self) -> ReadBack:
        """Whether exactly one of the two leads and the other one streams from it."""
        if stage := self.files.stage():
            return ReadBack(False, f"the lead of {self.name} is being passed on: {stage}")
        standby = {one: is_standby(one) for one in (self.me, self.to)}
        if silent := [self._called(one) for one, seen in standby.items() if seen is None]:
            return ReadBack(None, f"{silent[0]} does not answer")
        leading = [one for one, seen in standby.items() if not seen]
        if len(leading) != 1:
            return ReadBack(False, "both take themselves for the primary" if leading else "nobody leads")
        leader = leading[0]
        other = self.to if leader == self.me else self.me
        said = f"{self._called(leader)} leads"
        if not self._follows(other, leader):
            return ReadBack(False, f"{said}, and {self._called(other)} does not follow it yet")
        return ReadBack(True, f"{said}, {self._called(other)} follows it, nothing is lost")

    def _called(self, address: str) -> str:
        return self.name if address == self.me else address

    def _follows(self, one: str, leader: str) -> bool:
        try:
            return source_of(one) == split_address(leader)[1]
        except Unreachable:
            return False


def _wait(done: Callable[[], object], seconds: float, why: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise EngineError(why)
        time.sleep(LOOK)
