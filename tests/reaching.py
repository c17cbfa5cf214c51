"""Who reaches whom in a lab, asked of the nodes themselves: a program in each namespace sends, hears and connects."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.lab.records import Record
from engine.lab.segment import CLIENTS
from engine.lab.spaces import space

PEERS, SERVES, EAR = 2380, 2379, 9  # ports of an etcd node, and that of the program
SETTLES = 0.3  # seconds for what was sent to come
CODE = """
import json, socket, struct, sys, threading, time
mine, port = sys.argv[1], int(sys.argv[2])
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
ear.setsockopt(socket.SOL_SOCKET, 35, 1)  # the kernel stamps when each came, however late this program wakes up
ear.bind((mine, port))
door = socket.create_server((mine, port), backlog=64)
come = {}
def hear():
    while True:
        data, said, _, (source, _) = ear.recvmsg(9000, 99)
        seconds, ns = struct.unpack("qq", said[0][2][:16])
        try:
            round, number, sent = map(int, data.split()[:3])
        except ValueError:
            continue
        come.setdefault(round, {}).setdefault(source, []).append((number, seconds * 10**9 + ns - sent))
def accept():
    while True:
        door.accept()[0].close()
def connect(there, within, found):
    try:
        socket.create_connection(tuple(there), within, source_address=(mine, 0)).close()
        found.append(there)
    except OSError:
        pass
for work in (hear, accept):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    told, answer = json.loads(line), None
    if told["do"] == "send":
        for number in range(told["count"]):
            for there in told["to"]:
                text = b"%d %d %d " % (told["round"], number, time.time_ns())
                try:
                    ear.sendto(text.ljust(told["size"], b"."), (there, port))
                except OSError:
                    pass
            time.sleep(told["pause"])
    elif told["do"] == "heard":
        answer = come.pop(told["round"], {})
    else:
        answer = []
        work = [threading.Thread(target=connect, args=(t, told["within"], answer)) for t in told["to"]]
        [one.start() for one in work]
        [one.join() for one in work]
    print(json.dumps(answer), flush=True)
"""
Pair = tuple[str, str]


@dataclass(frozen=True)
class Stream:
    """What came of numbered datagrams from one seat to another, and the seconds of the fastest on its way: of
    all of them, and of the last quarter."""

    all: int
    different: int
    overtaken: int
    fastest: float
    at_last: float


class Seats:
    """A program at each seat of a lab, the clients' too."""

    def __init__(self, record: Record) -> None:
        self._record, self._rounds = record, itertools.count(1)
        self._programs = {
            name: subprocess.Popen(
                [*space(record, name).entered(), sys.executable, "-c", CODE, seat["address"], str(EAR)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for name, seat in record.seats.items()
        }  # fmt: skip
        self._names = {seat["address"]: name for name, seat in record.seats.items()}
        for name in self._programs:
            self._line(name)

    @property
    def pairs(self) -> set[Pair]:
        return set(itertools.permutations(self._programs, 2))

    def silent(self) -> set[Pair]:
        """The ordered pairs (from, to) of which no datagram of three comes through."""
        heard = self.streams(3, pause=0.01)
        return {pair for pair in self.pairs if pair not in heard}

    def unconnected(self, within: float = 0.6) -> set[Pair]:
        """The ordered pairs of which the first cannot open a TCP connection to the second, at its own port."""
        told = {}
        for name in self._programs:
            others = [other for other in self._programs if other != name]
            told[name] = {"do": "connect", "within": within, "to": [self._door(name, one) for one in others]}
        answers = self._ask(told)
        made = {(name, self._names[host]) for name, found in answers.items() for host, _ in found}
        return self.pairs - made

    def _door(self, source: str, target: str) -> tuple[str, int]:
        port = EAR if target == CLIENTS else SERVES if source == CLIENTS else PEERS
        return self._record.seats[target]["address"], port

    def streams(self, count: int, *, size: int = 64, pause: float = 0.005, settles: float = SETTLES
                ) -> dict[Pair, Stream]:  # fmt: skip
        """Each sends `count` datagrams to each other; pairs of which nothing came are left out."""
        number, addresses = next(self._rounds), set(self._names)
        told = {
            name: {"do": "send", "round": number, "count": count, "size": size, "pause": pause,
                   "to": sorted(addresses - {self._record.seats[name]["address"]})}
            for name in self._programs
        }  # fmt: skip
        self._ask(told)
        time.sleep(settles)  # what is on its way comes now, or is lost
        heard = self._ask({name: {"do": "heard", "round": number} for name in self._programs})
        return {
            (self._names[source], name): _stream(come)
            for name, found in heard.items() for source, come in found.items() if source in self._names
        }  # fmt: skip

    def _ask(self, told: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """All at once, and then their answers."""
        for name, message in told.items():
            program = self._programs[name].stdin
            assert program
            program.write(json.dumps(message) + "\n")
            program.flush()
        return {name: json.loads(self._line(name)) for name in told}

    def _line(self, name: str) -> str:
        output = self._programs[name].stdout
        assert output
        return output.readline()

    def end(self) -> None:
        for one in self._programs.values():
            one.kill()
            one.wait()


def _stream(come: Sequence[Sequence[int]]) -> Stream:
    numbers = [number for number, _ in come]
    overtaken = sum(b < a for a, b in itertools.pairwise(numbers))
    ways = [ns / 1e9 for _, ns in come]
    return Stream(len(numbers), len(set(numbers)), overtaken, min(ways), min(ways[-max(1, len(ways) // 4) :]))


@contextmanager
def seats(record: Record) -> Iterator[Seats]:
    found = Seats(record)
    try:
        yield found
    finally:
        found.end()
