"""Processes of this host: adopted by pid, pid file, port or command line, or started by chaosboard."""

import hashlib
import json
import os
import shutil
import signal as signals
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine import processes, starting, state
from engine.capabilities import Captured, Limit, ReadBack
from engine.drivers import Driver
from engine.errors import EngineError, Refused, Unreachable
from engine.host import cgroups, networks
from engine.parameters import param
from engine.processes import SIGNALS, Identity, describe, holder, identity, short, status
from engine.target import Node, split_address
from engine.text import listed

POLL = 0.01  # seconds between two looks at a process that is ending or starting


@dataclass(frozen=True)
class Process(Driver):
    """A process on the host where chaosboard runs. Say in one way which one it is."""

    pid_file: str = param("", help="the file that holds its process id")
    port: int | None = param(None, help="the TCP port that it listens on", least=1, most=65535)
    match: str = param("", help="a part of its command line that no other process has")
    pid: int | None = param(None, help="its process id, as it is now", least=1)
    command: list[str] = param([], help="the command that chaosboard starts it with")
    cwd: str = param("", help="where the command is started; the state directory if empty")

    def __post_init__(self) -> None:
        ways = {
            "pid_file": self.pid_file, "port": self.port, "match": self.match, "pid": self.pid,
            "command": self.command,
        }  # fmt: skip
        given = [name for name, value in ways.items() if value]
        if not given:
            raise ValueError(f"says not which process is meant; give one of {', '.join(ways)}")
        if len(given) > 1:
            raise ValueError(
                f"says in {len(given)} ways which process is meant ({', '.join(given)}); give one"
            )

    # Which process

    def find(self, node: Node) -> int:
        """The pid of the node's process; raises Unreachable where it does not run."""
        if self.pid is not None:
            return self._successor(self.pid)
        if self.port is not None:
            if (found := holder(self.port)) is None:
                raise Unreachable(f"No process of this host listens on port {self.port}.", "Start it first.")
            return found
        if self.match:
            return self._matching()
        return self._from_file(self._file())

    def _matching(self) -> int:
        found = processes.matching(self.match)
        eldest = [pid for pid in found if not set(processes.ancestors(pid)) & set(found)]
        if not eldest:
            raise Unreachable(f"No process has {self.match!r} in its command line.", "Start it first.")
        if len(eldest) > 1:
            some = "; ".join(describe(pid) for pid in eldest[:3])
            raise Refused(
                f"{len(eldest)} processes have {self.match!r} in their command line: {some}.",
                "Say more of it.",
            )
        return eldest[0]

    def _file(self) -> Path:
        if self.pid_file:
            return Path(self.pid_file)
        name = hashlib.sha256(json.dumps([self.command, self.cwd]).encode()).hexdigest()[:16]
        return state.root() / "started" / f"{name}.pid"

    def _from_file(self, file: Path) -> int:
        try:
            text = file.read_text().split()
        except OSError as error:
            raise Unreachable(
                f"The pid file {file} cannot be read: {error.strerror}.", "Is it running?"
            ) from None
        if not text or not text[0].isdecimal():
            raise Unreachable(f"The pid file {file} holds no process id.", "Is it the right file?")
        pid = int(text[0])
        if status(_identity_or_none(pid)) == "gone":
            raise Unreachable(f"Its process, pid {pid} of {file}, is gone.", "Start it first.")
        return pid

    def _successor(self, pid: int) -> int:
        """The process that was started in the place of `pid` when that was killed, if it was."""
        one = _identity_or_none(pid)
        followed = state.read(state.root() / "started" / f"{pid}.json")
        if (
            followed
            and (status(one) == "gone" or one == followed["old"])
            and status(followed["new"]) != "gone"
        ):
            return int(followed["new"]["pid"])
        if status(one) == "gone":
            raise Unreachable(f"There is no process with pid {pid}.", "It may have ended; look it up again.")
        return pid

    # What the board asks

    def refusal(self, node: Node) -> str:
        try:
            pid = self.find(node)
            return processes.refusal(pid) or self._foreign_port(node, pid)
        except EngineError as error:
            return str(error)

    def _foreign_port(self, node: Node, pid: int) -> str:
        """Why the process is not the node: another one holds the port of its address."""
        if networks.elsewhere(pid):
            return ""  # its addresses and ports are those of another network
        host, port = split_address(node.own_address)
        if not processes.is_local(host):
            return f"{node.name} is at {host}, which is not this host; its process cannot be controlled from here."
        holders = processes.listeners(port)
        family = {one["pid"] for one in processes.tree(pid)}
        if holders and not holders & family:
            return f"Port {port} is held by {describe(min(holders))}, not by {describe(pid)}."
        return ""

    def victim(self, node: Node) -> str:
        try:
            return describe(self.find(node))
        except EngineError:
            return ""

    def prepare(self, node: Node) -> bool:
        """Starts the command where it is chaosboard's to start and does not run."""
        if not self.command:
            return False
        try:
            self.find(node)
            return False
        except Unreachable:
            folder = Path(self.cwd) if self.cwd else state.root() / "started"
            folder.mkdir(parents=True, exist_ok=True)
            environ = {k: v for k, v in os.environ.items() if k != state.PART}
            environ[state.OWNER] = str(state.root())
            log = self._file().with_suffix(".log")
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch()
            how = {"argv": self.command, "cwd": str(folder), "environ": environ, "output": str(log)}
            one = starting.start(how)
            state.write_quickly(self._file(), f"{one['pid']}\n")
            return True

    def release(self, node: Node) -> None:
        """Ends what `prepare` started."""
        if self.command:
            try:
                self.stop(self.capture(node), grace=5.0)
            except Unreachable:
                return

    def cannot(self, capability: type) -> str:
        return cgroups.available() if capability is Limit else ""

    # Capabilities: kill, pause, restart, host, family, wrap, limit

    def host(self) -> str:
        return os.uname().nodename

    def family(self, captured: Captured) -> list[Identity]:
        return list(captured["family"])

    def capture(self, node: Node) -> Captured:
        """Raises Refused for a process that must not be hurt, Unreachable where there is none."""
        pid = self.find(node)
        if why := processes.refusal(pid) or self._foreign_port(node, pid):
            raise Refused(why)
        return {"family": processes.tree(pid), "how": starting.capture(pid), "network": networks.home(pid)}

    def signal(self, captured: Captured, signal: str) -> None:
        """Returns when all are gone, or did not go; a large one takes its time, and must not be taken for one that runs.

        Raises Refused for one that could not be started again where it was; then nothing is done.
        """
        self._refuse_lonely(captured)
        for one in captured["family"]:
            processes.send(one, SIGNALS[signal])
        _wait(
            lambda: all(status(one) == "gone" for one in captured["family"]), processes.GOES[signal == "KILL"]
        )

    def _refuse_lonely(self, captured: Captured) -> None:
        """A network that nothing else holds would be gone with its process."""
        networks.refuse_lonely(captured.get("network", 0), [one["pid"] for one in captured["family"]])

    def stop(self, captured: Captured, grace: float) -> None:
        self._refuse_lonely(captured)
        main = captured["family"][0]
        processes.send(main, signals.SIGTERM)
        if not _wait(lambda: status(main) == "gone", grace):
            self.signal(captured, "KILL")
            _wait(lambda: status(main) == "gone", 5.0)

    def start(self, node: Node, captured: Captured) -> None:
        """Starts the node again where it does not run: idempotent. One that is about to be gone does not."""
        _wait(lambda: not processes.dying(captured["family"][0]), processes.GOES[True])
        if not self._runs(node, captured):
            self._start(captured, captured["how"])

    def start_in(
        self, node: Node, captured: Captured, environ: Mapping[str, str | None], before: Sequence[str]
    ) -> None:
        """As `start`, with variables of its environment changed (None: taken away), after `before`.

        What comes before runs with the rights of chaosboard, which are dropped after it.
        """
        how = captured["how"]
        changed = {**how["environ"], **environ}
        kept = {key: value for key, value in changed.items() if value is not None}
        if not before:
            self._start(captured, {**how, "environ": kept})
            return
        argv = [*before, *_dropping(how), starting.executable(how) or how["argv"][0], *how["argv"][1:]]
        self._start(captured, {**how, "argv": argv, "environ": kept, "program": "", "uid": None})

    def _start(self, captured: Captured, how: dict[str, Any]) -> None:
        place = networks.way_back(captured.get("network", 0))
        for one in captured["family"][1:]:
            processes.send(one, signals.SIGKILL)  # orphans would hold its port
        started = networks.inside(place, lambda: starting.start(how)) if place else starting.start(how)
        self._note(captured["family"][0], started)

    def _note(self, old: Identity, new: Identity) -> None:
        """Writes down that `new` runs in the place of `old`."""
        if self.pid is not None:
            state.write(state.root() / "started" / f"{self.pid}.json", {"old": old, "new": new})
        elif not self.port and not self.match:
            starting.write_pid(self._file(), new["pid"])

    def running(self, node: Node, captured: Captured) -> ReadBack:
        if pid := self._runs(node, captured):
            return ReadBack(True, f"{short(pid)} runs")
        return ReadBack(False, f"{node.name} does not run")

    def _runs(self, node: Node, captured: Captured) -> int:
        main: Identity = captured["family"][0]
        if status(main) not in ("gone", psutil.STATUS_STOPPED):
            return main["pid"]
        try:
            pid = self.find(node)
        except EngineError:
            return self._adopted(captured)
        return 0 if pid in {one["pid"] for one in captured["family"]} else pid

    def _adopted(self, captured: Captured) -> int:
        """The process that somebody started in its place who was killed before he had written it down."""
        old = captured["family"][0]
        found = starting.started_again(captured["how"], old)
        if found is None:
            return 0
        self._note(old, found)
        return found["pid"]

    def pause(self, captured: Captured) -> None:
        for one in captured["family"]:
            processes.send(one, signals.SIGSTOP)

    def unpause(self, captured: Captured) -> None:
        for one in reversed(captured["family"]):
            processes.send(one, signals.SIGCONT)

    def unpaused(self, captured: Captured) -> ReadBack:
        main = captured["family"][0]["pid"]
        states = [status(one) for one in captured["family"]]
        if states[0] == "gone":
            return ReadBack(True, f"pid {main} ended while it was paused")
        stopped = states.count(psutil.STATUS_STOPPED)
        if stopped:
            return ReadBack(False, f"{stopped} of its processes are still stopped")
        return ReadBack(True, f"{short(main)} runs on")

    def capture_limits(self, node: Node) -> Captured:
        family = self.capture(node)["family"]
        return {"family": family, "cgroups": cgroups.capture([one["pid"] for one in family])}

    def limit(self, captured: Captured, mark: str, cpu: float | None, memory: int | None) -> None:
        def living() -> set[int]:
            return {one["pid"] for one in processes.grown(captured["family"])}

        cgroups.limit(captured["cgroups"], mark, living, cpu, memory)

    def unlimit(self, captured: Captured, mark: str) -> None:
        cgroups.unlimit(captured["cgroups"], mark)

    def unlimited(self, captured: Captured, mark: str) -> ReadBack:
        if left := cgroups.left(mark):
            return ReadBack(False, f"{listed(left)} is still there")
        alive = [one["pid"] for one in captured["family"] if status(one) != "gone"]
        if astray := cgroups.astray(captured["cgroups"], alive):
            return ReadBack(False, f"{short(astray[0])} is not in the control groups that it was in")
        return ReadBack(True, f"{short(captured['family'][0]['pid'])} is in its own control groups again")


def _dropping(how: dict[str, Any]) -> list[str]:
    """The command that goes on as the user of the process; none where that is the one of chaosboard."""
    if how.get("uid") in (None, os.geteuid()):
        return []
    setpriv = shutil.which("setpriv") or "setpriv"
    return [setpriv, f"--reuid={how['uid']}", f"--regid={how['gid']}", "--keep-groups", "--"]


def _identity_or_none(pid: int) -> Identity:
    try:
        return identity(pid)
    except Unreachable:
        return {"pid": pid, "started": -1}


def _wait(done: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(POLL)
    return True
