"""The supervising itself: one loop that looks at every part, and an orderly end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from chaosboard import ports, processes
from chaosboard.demo import ASKED
from chaosboard.demo.systems import Demo
from chaosboard.supervisor import parts, preparation
from chaosboard.supervisor.part import GivenUp, Keeper
from chaosboard.supervisor.preparation import CannotStart

HOME = Path(__file__).resolve().parents[2]
LOOK = 0.1
# Who could still hurt something ends before the second healing; what heals ends after it.
HURTING = ("demo", "beat", "worker-runs", "worker-control", "web")


def say(text: str) -> None:
    print(text, flush=True)


class Board:
    def __init__(self, state: Path, host: str, port: int, *, demo: bool, say: Callable[[str], None] = say):
        self.state, self.host, self.port, self.say = state, host, port, say
        self.url = parts.url_of(host, port)
        self.keepers: list[Keeper] = []
        self.demo = Demo(state, HOME, self.url, say) if demo else None
        self._demo_waits = False
        self.stopping = threading.Event()
        self.began = time.monotonic()

    def run(self) -> int:
        """Runs until a signal; the exit status."""
        self._listen_for_signals()
        preparation.check_python()
        preparation.make_state(self.state)
        lock = preparation.take_lock(self.state, self.url)
        with lock:
            for line in preparation.clear_leftovers(self.state, HOME):
                self.say(line)
            preparation.check_port(self.host, self.port)
            try:
                status = self._live()
            finally:
                left = self._end()
            (self.state / "supervisor.pid").unlink(missing_ok=True)
        return 1 if left else status

    def _live(self) -> int:
        try:
            self.say(f"Starting chaosboard in {self.state}")
            environ = self._environ()
            self._redis(environ)
            password = preparation.prepare_database(HOME, environ)
            self._keep(parts.board(self.state, self.host, self.port), environ)
            if self.demo:
                self.demo.start_systems()
            self._look_until(self._all_up)
            self._greet(password)
            if self.demo:
                self._look_until(self.demo.systems_started)
                self.demo.start_experiments()
            self._look_until(self._demo_asked_for)
        except (GivenUp, CannotStart) as error:
            self.say(f"Stopping: {error}")
            return 1
        return 0

    def _demo_asked_for(self) -> bool:
        """Starts the demo when the home page has asked for it; never done."""
        asked = self.state / ASKED
        if self.demo is None and asked.exists():
            asked.unlink()
            self.say("The demo was asked for: starting its systems.")
            self.demo = Demo(self.state, HOME, self.url, self.say)
            self.demo.start_systems()
            self._demo_waits = True
        if self.demo and self._demo_waits and self.demo.systems_started():
            self._demo_waits = False
            self.demo.start_experiments()
        return False

    def _environ(self) -> dict[str, str]:
        environ = {
            "CHAOSBOARD_STATE": str(self.state),
            "DJANGO_SETTINGS_MODULE": "chaosboard.settings",
            "PYTHONUNBUFFERED": "1",
        }
        if not os.environ.get("ALLOWED_HOSTS"):
            environ["ALLOWED_HOSTS"] = preparation.allowed_hosts(self.host)
        return environ

    def _redis(self, environ: dict[str, str]) -> None:
        if given := os.environ.get("REDIS_URL"):
            if not parts.answers(given):
                raise CannotStart("Redis does not answer at REDIS_URL: start it, or unset REDIS_URL.")
            return
        part, environ["REDIS_URL"] = parts.bundled_redis(self.state)
        self._keep([part], environ)
        self._look_until(self._all_up)

    def _keep(self, found: list[parts.Part], environ: dict[str, str]) -> None:
        for part in found:
            self.keepers.append(Keeper(part, self.state, HOME, environ, self.say))

    def _all_up(self) -> bool:
        return all(keeper.up for keeper in self.keepers)

    def _look_until(self, done: Callable[[], bool]) -> None:
        while not self.stopping.is_set() and not done():
            for keeper in self.keepers:
                keeper.look(time.monotonic())
            if self.demo:
                self.demo.look()
            self.stopping.wait(LOOK)

    def _greet(self, password: str | None) -> None:
        if self.stopping.is_set():
            return
        self.say(f"chaosboard is up after {time.monotonic() - self.began:.1f} s: {self.url}")
        if password:
            self.say(f"Log in as admin with the password {password} (shown only this once).")
        self.say("Ctrl-C heals and stops everything.")

    def _listen_for_signals(self) -> None:
        def heard(number: int, _frame: FrameType | None) -> None:
            if not self.stopping.is_set():
                print(f"\n{signal.Signals(number).name}: healing, then stopping.", file=sys.stderr)
            self.stopping.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, heard)

    def _end(self) -> bool:
        """Heals, stops everything in order, heals what was hurt meanwhile; is anything left?"""
        healed, _ = preparation.heal(self.state, HOME)
        if self.demo:
            self.demo.stop_experiments()
        self._stop([k for k in self.keepers if k.part.name in HURTING])
        more, problem = preparation.heal(self.state, HOME)
        self._stop([k for k in self.keepers if k.part.name not in HURTING and k.part.name != "redis"])
        self._stop([k for k in self.keepers if k.part.name == "redis"])
        (self.state / "redis" / "url").unlink(missing_ok=True)
        if self.demo:
            self.demo.stop_systems()
        left = processes.stop(processes.marked(self.state))
        if problem:
            self.say(problem)
        running = ", ".join(ports.describe(p.pid) for p in left) or "nothing"
        self.say(f"{healed + more} healed, {running} left running.")
        return bool(left or problem)

    def _stop(self, keepers: list[Keeper]) -> None:
        for keeper in keepers:
            keeper.ask()
        for keeper in keepers:
            keeper.stop()
