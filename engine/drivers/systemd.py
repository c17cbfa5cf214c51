"""Units of this host's systemd."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine import processes
from engine.capabilities import Captured, Limit, ReadBack
from engine.drivers import Driver, _systemctl
from engine.errors import EngineError, Refused, Unreachable
from engine.host import networks
from engine.parameters import param
from engine.processes import Identity, identity, status
from engine.target import Node, split_address
from engine.text import listed

LIFELINES = {
    "ssh", "sshd", "dbus", "dbus-broker", "docker", "containerd", "networking", "NetworkManager",
    "wpa_supplicant", "polkit", "init",
}  # fmt: skip
POLL = 0.02  # seconds between two looks at a unit that is stopping
LIMITS = {"CPUQuota": "CPUQuotaPerSecUSec", "MemoryMax": "MemoryMax"}


@dataclass(frozen=True)
class Systemd(Driver):
    """A unit of the systemd of the host where chaosboard runs. One that has Restart= comes back by itself."""

    unit: str = param(help="its name, as in systemctl status: web.service, or web")
    user_manager: bool = param(False, help="whether it belongs to the user's own systemd (systemctl --user)")

    def cannot(self, capability: type) -> str:
        if capability is Limit and self.user_manager and not _systemctl.unified():
            return "the limits of a user's units need cgroup v2, which this host has not."
        return _systemctl.absent(self.user_manager)

    # What the board asks

    def refusal(self, node: Node) -> str:
        try:
            return self._refusal(self._show(), node)
        except EngineError as error:
            return str(error)

    def victim(self, node: Node) -> str:
        try:
            found = self._show()
        except EngineError:
            return ""
        pids = self._pids(found)
        return f"{found['Id']}, {', '.join(f'pid {pid}' for pid in pids[:5])}" if pids else ""

    def _refusal(self, found: dict[str, str], node: Node) -> str:
        name, _, kind = found["Id"].rpartition(".")
        if found["LoadState"] == "masked":
            return f"{found['Id']} is masked: systemd would not start it again."
        if found["LoadState"] != "loaded":
            return f"There is no unit {self.unit} on this host."
        if kind != "service":
            return f"{found['Id']} is a {kind}; only services can be hurt."
        if name in LIFELINES or name.startswith(("systemd-", "user@", "getty@", "serial-getty@")):
            return f"{found['Id']} keeps this host reachable; it is never hurt."
        if found["ActiveState"] != "active":
            return f"{found['Id']} is not active but {found['ActiveState']}; start it first."
        pids = self._pids(found)
        return next(filter(None, map(processes.refusal, pids)), "") or _foreign_port(node, found["Id"], pids)

    def _show(self) -> dict[str, str]:
        return _systemctl.show(self.user_manager, self.unit)

    def _order(self, *arguments: str) -> None:
        _systemctl.order(self.user_manager, *arguments)

    def _pids(self, found: dict[str, str]) -> list[int]:
        """Its processes, the main one first."""
        main = int(found["MainPID"] or 0)
        inside = _systemctl.pids(found["ControlGroup"])
        return sorted({*inside, main} - {0}, key=lambda pid: (pid != main, pid))

    # Capabilities: kill, pause, restart, host, family

    def host(self) -> str:
        return os.uname().nodename

    def capture(self, node: Node) -> Captured:
        """Raises Refused for a unit that must not be hurt, Unreachable where there is no systemd."""
        found = self._show()
        if why := self._refusal(found, node):
            raise Refused(why)
        return {
            "unit": found["Id"], "family": _identities(self._pids(found)),
            "freezer": _systemctl.freezable(found["ControlGroup"]),
        }  # fmt: skip

    def family(self, captured: Captured) -> list[Identity]:
        return list(captured["family"])

    def signal(self, captured: Captured, signal: str) -> None:
        """Returns when the main process is gone, or did not go: until systemd has heard of it, the unit is active."""
        main = self._show()["MainPID"]
        self._order("kill", f"--signal={signal}", captured["unit"])
        if main != "0" and signal not in ("STOP", "CONT"):
            _wait(lambda: self._show()["MainPID"] != main, processes.GOES[signal == "KILL"])

    def stop(self, captured: Captured, grace: float) -> None:
        self._order("stop", "--no-block", captured["unit"])
        if not _wait(self._down, grace):
            with contextlib.suppress(EngineError):  # it may have ended just now
                self.signal(captured, "KILL")
            _wait(self._down, 5.0)

    def _down(self) -> bool:
        return self._show()["ActiveState"] in ("inactive", "failed")

    def start(self, node: Node, captured: Captured) -> None:
        """Sees to it that the unit is active: idempotent."""
        if self._show()["ActiveState"] != "active":
            with contextlib.suppress(EngineError):
                self._order("reset-failed", captured["unit"])  # or it counts as started too often
            self._order("start", captured["unit"])

    def running(self, node: Node, captured: Captured) -> ReadBack:
        found = self._show()
        return ReadBack(found["ActiveState"] == "active", f"{found['Id']} is {found['ActiveState']}")

    def pause(self, captured: Captured) -> None:
        """Where systemd freezes, it takes a message bus; else its processes are stopped, as far as they are seen."""
        if captured["freezer"]:
            with contextlib.suppress(EngineError):
                return self._order("freeze", captured["unit"])
        self.signal(captured, "STOP")

    def unpause(self, captured: Captured) -> None:
        if self._show()["FreezerState"] not in ("", "running"):
            self._order("thaw", captured["unit"])
        if any(self._stopped()):
            self.signal(captured, "CONT")

    def unpaused(self, captured: Captured) -> ReadBack:
        found = self._show()
        if found["FreezerState"] not in ("", "running"):
            return ReadBack(False, f"{found['Id']} is {found['FreezerState']}")
        if stopped := self._stopped():
            return ReadBack(
                False, f"of {found['Id']} still stopped: {listed([f'pid {pid}' for pid in stopped])}"
            )
        return ReadBack(True, f"{found['Id']} is {found['ActiveState']} and not paused")

    def _stopped(self) -> list[int]:
        states = {one["pid"]: status(one) for one in _identities(self._pids(self._show()))}
        return [pid for pid, state in states.items() if state == psutil.STATUS_STOPPED]

    # Capability: limit

    def capture_limits(self, node: Node) -> Captured:
        """Raises Refused where somebody has set such limits at run time: they would be lost."""
        found = self._show()
        if why := self._refusal(found, node):
            raise Refused(why)
        if foreign := _at_run_time(found):
            raise Refused(
                f"{found['Id']} has limits that were set at run time: {foreign[0]}.", "Take them back first."
            )
        return {"unit": found["Id"], "before": {name: found[shown] for name, shown in LIMITS.items()}}

    def limit(self, captured: Captured, mark: str, cpu: float | None, memory: int | None) -> None:
        wanted = [f"CPUQuota={cpu * 100:.6g}%"] if cpu is not None else []
        wanted += [f"MemoryMax={memory}"] if memory is not None else []
        if wanted:
            self._order("set-property", "--runtime", captured["unit"], *wanted)

    def unlimit(self, captured: Captured, mark: str) -> None:
        """Sets what was there before, and removes the files that systemd wrote for ours."""
        found = self._show()
        if not (written := _at_run_time(found)):
            return
        before = captured["before"]
        self._order(
            "set-property", "--runtime", captured["unit"],
            f"CPUQuota={_systemctl.quota(before['CPUQuota'])}", f"MemoryMax={before['MemoryMax']}",
        )  # fmt: skip
        for path in {*written, *_at_run_time(self._show())}:
            Path(path).unlink(missing_ok=True)
        self._order("daemon-reload")

    def unlimited(self, captured: Captured, mark: str) -> ReadBack:
        found = self._show()
        left = [f"{n}={found[s]}" for n, s in LIMITS.items() if found[s] != captured["before"][n]]
        if left or (left := _at_run_time(found)):
            return ReadBack(False, f"{found['Id']} is still limited: {', '.join(left)}")
        return ReadBack(True, f"{found['Id']} has the limits that it had before")


def _at_run_time(found: dict[str, str]) -> list[str]:
    """The files of limits that `systemctl set-property --runtime` writes."""
    names = tuple(f"/50-{name}.conf" for name in LIMITS)
    return [p for p in found["DropInPaths"].split() if ".control/" in p and p.endswith(names)]


def _foreign_port(node: Node, unit: str, pids: list[int]) -> str:
    """Why the unit is not the node: another process holds the port of its address."""
    if pids and networks.elsewhere(pids[0]):
        return ""  # its addresses and ports are those of another network
    host, port = split_address(node.own_address)
    if not processes.is_local(host):
        return f"{node.name} is at {host}, which is not this host; its unit cannot be controlled from here."
    holders = processes.listeners(port)
    if holders and not holders & {1, *pids}:  # 1: systemd itself listens for it
        return f"Port {port} is held by {processes.describe(min(holders))}, not by {unit}."
    return ""


def _identities(pids: list[int]) -> list[Identity]:
    found = []
    for pid in pids:
        with contextlib.suppress(Unreachable):
            found.append(identity(pid))
    return found


def _wait(done: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(POLL)
    return True
