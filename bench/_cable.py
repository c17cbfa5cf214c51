"""Two nodes with a plain cable between them, and measurements from one place to another by programs there."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from engine import switch
from engine.lab import labs, namespaces
from engine.lab.records import Record
from engine.lab.spaces import space

# Prints how long each datagram was on its way, in ns: the kernel stamps when it came (SO_TIMESTAMPNS), so that
# it does not count how long the receiver takes to wake up on a busy machine.
STAMPS = """
import socket, struct, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.setsockopt(socket.SOL_SOCKET, 35, 1)
link.bind((sys.argv[1], 9))
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    data, said, _, _ = link.recvmsg(99, 99)
    seconds, ns = struct.unpack("qq", said[0][2][:16])
    print(seconds * 10**9 + ns - struct.unpack("q", data)[0])
"""
STAMP = """
import socket, struct, sys, time
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
due = time.monotonic()
for _ in range(int(sys.argv[2])):
    due += float(sys.argv[3])
    time.sleep(max(due - time.monotonic(), 0))
    link.sendto(struct.pack("q", time.time_ns()), (sys.argv[1], 9))
"""
# Prints how many datagrams came before the first of those that say that it is over.
COUNT = """
import socket, sys
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
link.bind((sys.argv[1], 9))
print("ready", flush=True)
come = 0
while link.recv(99) != b"over":
    come += 1
print(come)
"""
FLOOD = """
import socket, sys, time
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[2])):
    link.sendto(b"%d" % i, (sys.argv[1], 9))
    if i % 40 == 39:
        time.sleep(0.002)
for _ in range(40):
    time.sleep(0.01)
    link.sendto(b"over", (sys.argv[1], 9))
"""
# Prints gigabits a second.
SINK = """
import socket, sys, time
server = socket.create_server((sys.argv[1], 5000))
print("ready", flush=True)
link, _ = server.accept()
began, size, buffer = time.monotonic(), 0, bytearray(1 << 20)
while come := link.recv_into(buffer):
    size += come
print(size * 8e-9 / (time.monotonic() - began))
"""
SOURCE = """
import socket, sys, time
link = socket.create_connection((sys.argv[1], 5000))
end, data = time.monotonic() + float(sys.argv[2]), bytes(1 << 20)
while time.monotonic() < end:
    link.sendall(data)
"""


class End(NamedTuple):
    address: str
    enter: Sequence[str]


class Way(NamedTuple):
    """From one end to the other. `record` is the lab's, None for a plain cable."""

    source: End
    target: End
    record: Record | None = None

    def measure(
        self, there: str, here: str, *, receive: Sequence[object] = (), send: Sequence[object] = ()
    ) -> list[str]:
        """What the program `there` prints at the target, while `here` runs at the source."""
        at = self.target.address
        argv = [*self.target.enter, sys.executable, "-c", there, at, *map(str, receive)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()
            subprocess.run([*self.source.enter, sys.executable, "-c", here, at, *map(str, send)], check=True)
            return process.stdout.read().split()

    def disturb(self, how: dict[str, object]) -> None:
        """Both ways; in place of what was before."""
        assert self.record
        switch.call(self.record.switch, {"do": "clear", "mark": "bench"})
        if how:
            switch.call(self.record.switch, {"do": "disturb", "mark": "bench", "node": "n2", "others": ["n1"],
                                             "how": how, "until": 4e9})  # fmt: skip


@contextmanager
def lab() -> Iterator[Way]:
    """Two nodes of a lab, as root of this machine or of a user namespace."""
    with tempfile.TemporaryDirectory() as folder:
        record, keeper = labs.up(Path(folder), "bench", None, ["n1", "n2"], with_root=True, leash=True)
        ends = [End(record.seats[n]["address"], space(record, n).entered()) for n in ("n1", "n2")]
        try:
            yield Way(*ends, record=record)
        finally:
            assert keeper.stdin
            keeper.stdin.close()
            keeper.wait()


@contextmanager
def cable() -> Iterator[Way]:
    """A pair of veth devices, and nothing else in between."""
    from pyroute2 import IPRoute

    spaces = [namespaces.new_network() for _ in range(2)]
    with namespaces.inside(spaces[0]), IPRoute() as route:
        route.link("add", ifname="e0", kind="veth", peer={"ifname": "e0", "net_ns_fd": spaces[1]})
    ends = []
    for i, one in enumerate(spaces, start=1):
        with namespaces.inside(one), IPRoute() as route:
            index = route.link_lookup(ifname="e0")[0]
            route.addr("add", index=index, address=f"10.250.250.{i}", prefixlen=24)
            route.link("set", index=index, state="up")
        ends.append(End(f"10.250.250.{i}", ["nsenter", f"--net=/proc/{os.getpid()}/fd/{one}", "--"]))
    try:
        yield Way(*ends)
    finally:
        for one in spaces:
            os.close(one)
