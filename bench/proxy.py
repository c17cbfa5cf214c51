"""The link proxy: what it costs while it does no harm, beside its peers; and how exact and large it is.

    python -m bench.proxy [PART …] [--rounds 3]      (make bench ONLY=proxy)

HAProxy is measured on one thread, as ours and nginx are, and that is the peer; haproxy/all has one for each
processor. Every figure of the cost is the median of the rounds; in each round all ways are measured one after the other.
"""

import argparse
import csv
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import NamedTuple

import psutil

from bench import _links as links
from bench import _many as many
from bench import _timing as timing
from bench._servers import ROOT, waits_for
from chaosboard import ports

SECONDS = 1.5
REQUESTS = {1: 12_000, 50: 60_000}  # by clients


class Bulk(NamedTuple):
    rate: float  # GB a second
    cost: float  # CPU seconds a GB


class Requests(NamedTuple):
    rate: float  # a second
    p50: float  # microseconds
    cost: float  # CPU microseconds a request


def cpu(way: links.Way) -> float:
    """Seconds of processor that it has used so far."""
    if way.pid is None:
        return 0.0
    used = psutil.Process(way.pid).cpu_times()
    return float(used.user + used.system)


def bulk(way: links.Way, connections: int) -> Bulk:
    before = cpu(way)
    argv = [sys.executable, "-m", "bench._bulk", "source", str(way.port), str(connections), str(SECONDS)]
    answer = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    size = int(answer[0]) / 1e9
    return Bulk(size / float(answer[1]), (cpu(way) - before) / size)


def requests(way: links.Way, clients: int) -> Requests:
    before, count = cpu(way), REQUESTS[clients]
    argv = [
        "redis-benchmark",
        "-p",
        str(way.port),
        "-c",
        str(clients),
        "-n",
        str(count),
        "-t",
        "get",
        "--csv",
    ]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    row = next(row for row in csv.DictReader(answer.splitlines()) if row["test"] == "GET")
    cost = (cpu(way) - before) / count * 1e6
    return Requests(float(row["rps"]), float(row["p50_latency_ms"]) * 1e3, cost)


@contextmanager
def sink() -> Iterator[int]:
    port = ports.choose(1)[0]
    argv = [sys.executable, "-m", "bench._bulk", "sink", str(port)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            process.stdout.readline()
            yield port
        finally:
            process.kill()


@contextmanager
def redis() -> Iterator[int]:
    port = ports.choose(1)[0]
    argv = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            waits_for(port, process)
            yield port
        finally:
            process.kill()


def table(rounds: int) -> dict[str, dict[str, float]]:
    """Medians by figure and way, as `bulk 1 rate` -> ours -> 1.75."""
    found: dict[str, dict[str, list[float]]] = {}

    def note(name: str, way: links.Way, figures: NamedTuple) -> None:
        for field, value in figures._asdict().items():
            found.setdefault(f"{name} {field}", {}).setdefault(way.name, []).append(value)

    with ExitStack() as stack:
        port, there = stack.enter_context(sink()), stack.enter_context(redis())
        in_bulk = [stack.enter_context(way(port)) for way in links.WAYS]
        to_redis = [stack.enter_context(way(there)) for way in links.WAYS]
        for _ in range(rounds):
            for connections in (1, 16):
                for way in in_bulk:
                    note(f"bulk {connections}", way, bulk(way, connections))
            for clients in REQUESTS:
                for way in to_redis:
                    note(f"requests {clients}", way, requests(way, clients))
    return {name: {way: median(values) for way, values in ways.items()} for name, ways in found.items()}


def show(found: dict[str, dict[str, float]]) -> None:
    print(
        "              GB/s, 1  CPU s/GB   GB/s, 16  CPU s/GB  req/s, 1  added p50 us  req/s, 50  CPU us/req"
    )
    direct = found["requests 1 p50"]["direct"]
    for way in ("direct", "ours", "haproxy", "haproxy/all", "nginx"):
        one = {name: ways[way] for name, ways in found.items()}
        print(
            f"{way:<12}{one['bulk 1 rate']:>9.2f}{one['bulk 1 cost']:>10.2f}{one['bulk 16 rate']:>11.2f}"
            f"{one['bulk 16 cost']:>10.2f}{one['requests 1 rate']:>10,.0f}"
            f"{one['requests 1 p50'] - direct:>14.0f}{one['requests 50 rate']:>11,.0f}"
            f"{one['requests 50 cost']:>12.1f}"
        )


def compare(found: dict[str, dict[str, float]]) -> bool:
    """Prints each claim against HAProxy; whether all hold."""
    good = True
    for name, what, unit, least, most in (
        ("bulk 1 rate", "bulk, 1 connection", "GB/s", 1.8, None),
        ("bulk 16 rate", "bulk, 16 connections", "GB/s", 1.8, None),
        ("bulk 1 cost", "processor of bulk", "s/GB", None, 0.33),
        ("requests 50 rate", "requests, 50 clients", "/s", 1.1, None),
    ):
        ours, peer = found[name]["ours"], found[name]["haproxy"]
        ratio = ours / peer
        held = (least is None or ratio >= least) and (most is None or ratio <= most)
        bound = f"at least {least}" if least else f"at most {most}"
        print(
            f"{what}: ours {ours:,.2f} {unit}, peer HAProxy {peer:,.2f} {unit}, ratio {ratio:.2f} "
            f"({bound}: {'held' if held else 'NOT held'})"
        )
        good &= held
    return good


def cost(rounds: int) -> bool:
    found = table(rounds)
    show(found)
    return compare(found)


PARTS: dict[str, Callable[[int], bool]] = {
    "cost": cost,
    "accuracy": lambda _: timing.accuracy(),
    "orders": lambda _: timing.orders(),
    "idle": lambda _: many.idle(),
    "leak": lambda _: many.leak(),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none")
    told = parser.parse_args()
    good = True
    for name, part in PARTS.items():
        if name in (told.parts or PARTS):
            print(f"proxy, {name}:", flush=True)
            good &= part(told.rounds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
