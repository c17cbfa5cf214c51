"""A lab of empty nodes, what is sent between them, and what of a lab is left on the machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.lab import labs, namespaces, segment
from engine.lab.records import Record
from engine.lab.spaces import space

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534

# Sends `count` datagrams with their numbers, counted from a first one, to a host, a little pause after each 50.
SEND = """
import socket, sys, time
there, count, first = (sys.argv[1], 9), int(sys.argv[2]), int(*sys.argv[3:4])
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(first, first + count):
    link.sendto(b"%d" % i, there)
    if i % 50 == 49:
        time.sleep(0.002)
"""
# Prints the number of different datagrams that came, of all, and of those that were overtaken, when told to.
COUNT = """
import itertools, select, socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
link.bind((sys.argv[1], 9))
print("ready", flush=True)
come = []
while True:
    for one in select.select([link, sys.stdin], [], [])[0]:
        if one is link:
            come.append(link.recv(9000))
        elif not sys.stdin.readline():
            sys.exit()
        else:
            while select.select([link], [], [], 0.2)[0]:
                come.append(link.recv(9000))
            numbers = list(map(int, come))
            overtaken = sum(map(int.__lt__, numbers, itertools.accumulate(numbers, max)))
            print(len(set(come)), len(come), overtaken, flush=True)
            come.clear()
"""
ECHO = """
import socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.bind((sys.argv[1], 10))
print("ready", flush=True)
while True:
    data, there = link.recvfrom(9000)
    link.sendto(data, there)
"""
# Prints the shortest time to there and back, in seconds.
PING = """
import socket, sys, time
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.settimeout(5)
best = 9.0
for i in range(int(sys.argv[2])):
    began = time.perf_counter()
    link.sendto(b"%d" % i, (sys.argv[1], 10))
    link.recv(99)
    best = min(best, time.perf_counter() - began)
print(best)
"""


def may(root: bool) -> None:
    """Skips where this machine has no namespaces for it; where all must run, that is a failure."""
    if why := namespaces.why_not(root):
        missing(why)


def missing(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def lab(state: Path, name: str = "lab", nodes: int = 3) -> Iterator[Record]:
    root = os.geteuid() == 0
    may(root)
    record, keeper = labs.up(
        state, name, None, [f"n{i + 1}" for i in range(nodes)], with_root=root, leash=True
    )
    try:
        yield record
    finally:
        assert keeper.stdin
        keeper.stdin.close()
        keeper.wait(timeout=20)
        labs.clear(state)


def at(record: Record, name: str, code: str, *argv: str) -> list[str]:
    return [*space(record, name).entered(), sys.executable, "-c", code, *argv]


def address(record: Record, name: str) -> str:
    return str(record.seats[name]["address"])


def send(record: Record, source: str, target: str, count: int, first: int = 0) -> None:
    subprocess.run(at(record, source, SEND, address(record, target), str(count), str(first)), check=True)


def ping(record: Record, source: str, target: str, count: int = 5) -> float:
    """The shortest time there and back, in seconds."""
    argv = at(record, source, PING, address(record, target), str(count))
    return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


class Counter:
    """Counts what comes to a node."""

    def __init__(self, record: Record, name: str) -> None:
        self._process = subprocess.Popen(
            at(record, name, COUNT, address(record, name)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._line()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def come(self) -> tuple[int, int]:
        """How many different datagrams came since the last call, and how many in all."""
        different, all, _ = self._told()
        return different, all

    def overtaken(self) -> tuple[int, int]:
        """How many datagrams came since the last call, and how many of them after one that was sent later."""
        _, all, overtaken = self._told()
        return all, overtaken

    def _told(self) -> list[int]:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return list(map(int, self._line().split()))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def counters(record: Record, names: Sequence[str]) -> Iterator[dict[str, Counter]]:
    found = {name: Counter(record, name) for name in names}
    try:
        yield found
    finally:
        for one in found.values():
            one.end()


@contextmanager
def echo(record: Record, name: str) -> Iterator[None]:
    argv = at(record, name, ECHO, address(record, name))
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def traces(record: Record) -> list[str]:
    """What of a lab there is on this machine, read from the machine."""
    folder = Path(record.folder)
    found = [f"pid {one['pid']}" for one in namespaces.inhabitants(record.networks.values())
             if segment.carries(one["pid"], folder)]  # fmt: skip
    for process in psutil.process_iter(["environ"]):
        environ = process.info["environ"] or {}
        if str(folder) in environ.values() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(f"pid {process.pid} carries its mark")
    found += [f"device {name}" for name in psutil.net_if_addrs() if name == segment.device_of(folder)]
    return found + [f"route to {record.network}" for line in _routes() if _hex(record.network) in line]


def _routes() -> list[str]:
    return Path("/proc/net/route").read_text().splitlines()


def _hex(network: str) -> str:
    return bytes(map(int, reversed(network.partition("/")[0].split(".")))).hex().upper()


def as_nobody(folder: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python with `argv` as a user without any right, on copies of the view of what only root may read."""
    base, packages = Path(sys.base_prefix), Path(psutil.__file__).parents[1]
    bound = {"python": base, "packages": packages, "product": ROOT}
    script = ["set -e"]
    for name, path in bound.items():
        (folder / name).mkdir(exist_ok=True)
        script.append(f"mount --bind '{path}' '{folder / name}'")
    script.append('exec "$@"')
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "CHAOSBOARD_STATE": str(folder / "state"),
        "PYTHONPATH": f"{folder / 'product'}:{folder / 'packages'}", "PYTHONDONTWRITEBYTECODE": "1",
        "LD_LIBRARY_PATH": str(folder / "python" / "lib"),
    }  # fmt: skip
    python = folder / "python" / "bin" / Path(sys.executable).resolve().name
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script), "sh",
         shutil.which("setpriv") or "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
         "--inh-caps=-all", "--bounding-set=-all", "--", str(python), *argv],
        capture_output=True, text=True, cwd="/", env=environ, timeout=60,
    )  # fmt: skip
