"""Real servers to torture: what is registered of them, what can be done to them, and what is wrong with them."""

import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from chaosboard import ports
from engine import proxy
from engine.errors import EngineError
from engine.lab.cluster import Cluster as Lab
from engine.lab.programs import VALKEY
from engine.lab.systems.etcd import Etcd
from engine.processes import listeners
from tests.engine.without_rights import settled
from tests.machine import Usual, wrong_with
from tests.waiting import until

Faults = dict[str, dict[str, Any]]
ON_PROCESSES: Faults = {
    "kill": {}, "pause": {}, "restart": {}, "stop": {}, "crash-loop": {"lives": "300ms", "down": "200ms"},
    "descriptors": {}, "throttle": {"cpu": 0.2}, "clock-skew": {}, "clock-strobe": {"every": "500ms"},
    "dns-failure": {"mode": "timeout"}, "dns-delay": {"delay": "200ms"},
}  # fmt: skip
ON_HOSTS: Faults = {
    "cpu": {"load": "30%", "workers": 1}, "memory": {"size": "32MiB"}, "io": {"file_size": "4MiB"},
    "disk-fill": {"size": "16MiB"},
}  # fmt: skip
ON_LINKS: Faults = {"latency": {"delay": "50ms"}, "partition": {}}


class Victim(ABC):
    """One service. `kind` is also the probe that looks at it."""

    name: str
    kind: str
    faults: Faults

    @abstractmethod
    def service(self) -> dict[str, Any]:
        """As it is registered."""

    @abstractmethod
    def end(self) -> None:
        """Kills it (SIGKILL)."""

    @abstractmethod
    def look_after(self) -> None:
        """As its own supervisor would: starts what does not run."""

    def close(self) -> None:
        """Ends all of it."""
        self.end()

    @abstractmethod
    def wrong(self, state: Path) -> list[str]:
        """What the machine shows of a fault that was not taken back; empty where there is nothing."""


class Single(Victim):
    """One process behind a link, with its pid in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name
        self.folder.mkdir()
        self.port, self.link = ports.choose(2)
        self.pid_file = folder / f"{self.name}.pid"
        self.look_after()
        self.usual = Usual.of(min(listeners(self.port)))

    @abstractmethod
    def command(self) -> list[str]: ...

    def look_after(self) -> None:
        if listeners(self.port):
            return
        with (self.folder.parent / f"{self.name}.log").open("ab") as log:
            child = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        self.pid_file.write_text(str(child.pid))
        until(lambda: listeners(self.port))

    def end(self) -> None:
        _end(self.port)

    def service(self) -> dict[str, Any]:
        node = {
            "name": "one", "address": f"127.0.0.1:{self.link}", "upstream": f"127.0.0.1:{self.port}",
            "driver": {"process": {"pid_file": str(self.pid_file)}},
        }  # fmt: skip
        return {"name": self.name, "kind": self.kind, "nodes": [node]}

    def wrong(self, state: Path) -> list[str]:
        found = wrong_with(self.port, self.usual, state)
        found += [f"its link {one}" for one in disturbed(state, f"127.0.0.1:{self.link}")]
        return [f"{self.name}: {one}" for one in found]


class Web(Single):
    name, kind = "web", "http"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        directory = {"directory": str(self.folder)}
        on_disk = {
            name: {**params, **directory} for name, params in ON_HOSTS.items() if name in ("io", "disk-fill")
        }
        self.faults = {**ON_PROCESSES, **ON_LINKS, **ON_HOSTS, **on_disk}

    def command(self) -> list[str]:
        return [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]


class Store(Single):
    """A Valkey that keeps its data on disk."""

    name, kind = "store", "redis"

    def __init__(self, folder: Path) -> None:
        self.server = VALKEY.get()  # another one that is installed meanwhile may not read its data
        super().__init__(folder)
        directory = {"directory": str(self.folder)}
        self.faults = {
            **ON_PROCESSES, **ON_LINKS, "truncate-files": {**directory, "files": "**/*.aof", "bytes": "16B"},
            "corrupt-files": {**directory, "files": "**/*.rdb"}, "full-disk": directory,
        }  # fmt: skip

    def command(self) -> list[str]:
        return [
            self.server, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--appendonly", "yes", "--set-proc-title", "no",
        ]  # fmt: skip


class Cluster(Victim):
    """Three etcd nodes."""

    name, kind, linked = "cluster", "etcd", False
    faults: Faults = {
        "kill": {"nodes": ["leader"]}, "pause": {"nodes": ["leader"]}, "rolling-restart": {"pause": "200ms"},
        "transfer-leader": {}, "add-member": {}, "crash-loop": {"nodes": ["one"]}, "throttle": {"cpu": 0.2},
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        """Its servers are marked with another state directory than that of the board, and live when that is killed."""
        self.etcd = Lab(
            Etcd(),
            folder / self.name,
            folder / f"{self.name}-state",
            linked=self.linked,
            proxy=folder / "state",
        )
        self.etcd.start()
        self.usual = {node.behind: Usual.of(node.pid) for node in self.etcd.nodes if node.pid}

    def service(self) -> dict[str, Any]:
        return {**self.etcd.document(), "name": self.name, "environment": "default"}

    def end(self) -> None:
        """One of them: all at once would be a fault of its own."""
        _end(_port(self.etcd.nodes[0].behind))

    def look_after(self) -> None:
        for server in self.etcd.servers:
            if not listeners(_port(server.behind)):
                server.start(self.etcd.state)
        until(self.etcd.ready, 30)

    def close(self) -> None:
        for node in self.etcd.nodes:
            _end(_port(node.behind))

    def wrong(self, state: Path) -> list[str]:
        found = []
        for node in self.etcd.nodes:
            wrong = wrong_with(_port(node.behind), self.usual[node.behind], state)
            found += [f"{node.name} {one}" for one in wrong]
        return [f"{self.name}: {one}" for one in [*found, *self._members()]]

    def _members(self) -> list[str]:
        """Has it the three members that it had?"""
        for node in self.etcd.nodes:
            with suppress(httpx.HTTPError):
                url = f"http://{node.address}/v3/cluster/member/list"
                answer = httpx.post(url, json={}, timeout=2, trust_env=False).json()
                names = sorted(member.get("name", "?") for member in answer.get("members", []))
                return [] if names == ["n1", "n2", "n3"] else [f"its members are {names}"]
        return ["no member answers"]


class Linked(Cluster):
    """The same behind link proxies, which cut and disturb each pair of members: on loopback, without root."""

    name, linked = "linked", True
    faults: Faults = {
        "partition halves": {"topology": "halves"}, "partition one-way": {"topology": "one-way"},
        "partition leader": {"topology": "leader-alone"}, "partition clients": {"between": "clients"},
        "latency": {"delay": "30ms", "between": "peers"}, "loss": {"share": "30%", "between": "peers"},
        "bandwidth": {"rate": "20kB", "between": "peers"}, "kill": {},
    }  # fmt: skip
    # not corrupt: what is changed here passes TCP's checksum, and etcd panics at some of it and stays down

    def wrong(self, state: Path) -> list[str]:
        found = super().wrong(state)
        for node in self.etcd.nodes:
            for listen in (node.address, *(door.listen for door in node.doors)):
                found += [f"{self.name}: {node.name}'s link {one}" for one in disturbed(state, listen)]
        try:
            silent = sorted(settled(self.etcd, set()))
        except httpx.HTTPError as error:
            return [*found, f"{self.name}: what its members hear cannot be asked: {error!r}"]
        return found + [f"{self.name}: {b} does not hear {a}" for a, b in silent]


def disturbed(state: Path, listen: str) -> list[str]:
    """What the link proxy tells of a link that it should not."""
    try:
        marks = proxy.call(state, {"do": "read", "listen": listen})["marks"]
    except EngineError as error:
        return [f"{listen} cannot be read: {error}"]
    return [f"{listen} is disturbed by {mark}" for mark in marks]


def _end(port: int) -> None:
    """Kills who listens on `port`, and returns when they are gone."""
    for pid in listeners(port):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: _gone(pid))


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def chosen(folder: Path, only: Sequence[str] = ()) -> list[Victim]:
    """Those with these names, or all: those with networks of their own only where nothing of the host's is touched."""
    from tests import apart, networked

    kinds: list[type[Victim]] = [Web, Store, Cluster, Linked]
    if apart.apart():
        kinds += [networked.Switched, networked.Ruled]
    return [kind(folder) for kind in kinds if not only or kind.name in only]
