"""Is a delay as long as was asked, and does an order take effect at once? Both on many live connections."""

import json
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scipy import stats

from bench import _links as links
from bench._servers import ROOT
from bench._stamps import stamp, urgent
from chaosboard import ports
from engine import proxy

ASKED = (0.005, 0.02, 0.1)  # seconds
RATES = (100, 1_000, 5_000)  # messages a second, on as many connections
SECONDS = 2.0
BURST = 50  # messages sent at once, where they come in bursts
LIVE, ORDERS = 1_000, 200
AFTER = 20  # messages sent when the order has been answered
GAP = 0.0001  # seconds between two messages while an order takes effect


CONNECTIONS, DRAWN = 500, 6.0  # as many messages a second, and for how many seconds
DELAY, JITTER = 0.05, 0.01  # seconds; the jitter is wide beside the error of a delay
FARTHEST = 0.05  # by which the measured distribution may differ, of 3,000 delays: 0.036 is one in a thousand
_PARETO = stats.pareto(3.0)
SPREADS = {
    "uniform": stats.uniform(DELAY - JITTER, 2 * JITTER).cdf,
    "normal": stats.norm(DELAY, JITTER).cdf,
    "pareto": stats.pareto(3.0, DELAY - JITTER * _PARETO.mean() / _PARETO.std(), JITTER / _PARETO.std()).cdf,
}


class Bench:
    """A link of ours to a sink; `took` gives what has come there."""

    def __init__(self, way: links.Way, sink: "subprocess.Popen[str]", direct: int) -> None:
        self.direct = direct  # the port of the sink itself
        self.way, self.listen, self._sink = way, f"127.0.0.1:{way.port}", sink
        self._orders = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._orders.connect(str(proxy.path(Path(way.folder))))

    def took(self) -> list[tuple[int, int]]:
        assert self._sink.stdin
        assert self._sink.stdout
        self._sink.stdin.write("\n")
        self._sink.stdin.flush()
        return [(sent, came) for sent, came in json.loads(self._sink.stdout.readline())]

    def connect(self, count: int, port: int = 0) -> list[socket.socket]:
        where = ("127.0.0.1", port or self.way.port)
        return [socket.create_connection(where) for _ in range(count)]

    def begin(self, what: str, **more: Any) -> None:
        message = {"do": what, "listen": self.listen, "mark": "bench", **more}
        self._orders.sendall(json.dumps(message).encode() + b"\n")

    def answered(self, seconds: float) -> bool:
        """Within `seconds`; not by looking all the time, which would take the processor from the proxy."""
        ready = select.select([self._orders], [], [], max(0, seconds))[0]
        return bool(ready) and b"marks" in self._orders.recv(4096)

    def order(self, what: str, **more: Any) -> None:
        self.begin(what, **more)
        while not self.answered(1):
            pass

    def disturb(self, **how: Any) -> None:
        self.order("disturb", how={**how, "direction": "to-node"}, until=time.time() + 600)


@contextmanager
def bench() -> Iterator[Bench]:
    port = ports.choose(1)[0]
    argv = [sys.executable, "-m", "bench._stamps", str(port)]
    with subprocess.Popen(argv, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sink:
        try:
            assert sink.stdout
            sink.stdout.readline()
            with links.ours(port) as way:
                yield Bench(way, sink, port)
        finally:
            sink.kill()


def send(connections: list[socket.socket], rate: int, seconds: float, burst: int = 1) -> None:
    """At even intervals, on one connection after the other; `burst` at a time."""
    start, gap = time.monotonic_ns(), 1e9 / rate
    for number in range(int(rate * seconds)):
        while (left := start + int(number // burst * burst * gap) - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        connections[number % len(connections)].send(stamp())


def accuracy() -> bool:
    """Prints how far delays are from what was asked; whether all are within the bounds."""
    urgent()
    good = True
    print("delay asked  messages/s  connections   error p50 ms   p99 ms")
    for rate in RATES:
        with bench() as one:
            connections = one.connect(rate)
            time.sleep(0.5)
            late = _without(one, rate)
            print(
                f"    direct{rate:>14,}{'':>13}{share(late, 0.5):>15.3f}{share(late, 0.99):>9.3f}", flush=True
            )
            for asked in ASKED:
                one.disturb(delay=asked)
                send(connections, rate, 0.2)
                time.sleep(asked + 0.2)
                good &= _exact(one, connections, asked, 1)
                _exact(
                    one, connections, asked, BURST
                )  # printed: so many cannot be sent, or come, at one instant
            for connection in connections:
                connection.close()
    return good


def _exact(one: Bench, connections: list[socket.socket], asked: float, burst: int) -> bool:
    rate = len(connections)
    one.took()
    send(connections, rate, SECONDS, burst)
    time.sleep(asked + 0.2)
    errors = sorted(came - sent - asked * 1e9 for sent, came in one.took())
    p50, p99 = share(errors, 0.5), share(errors, 0.99)
    held = p50 < 0.2 and p99 < 0.5 and len(errors) == int(rate * SECONDS)
    how = f"   in bursts of {burst}" if burst > 1 else "" if held else "   NOT within 0.2 and 0.5"
    print(f"{asked * 1e3:>8.0f} ms{rate:>12,}{rate:>13,}{p50:>15.3f}{p99:>9.3f}{how}", flush=True)
    return held


def spread() -> bool:
    """Prints how measured delays are distributed, against what was asked; whether each is told from the others."""
    urgent()
    good = True
    for name in SPREADS:
        with bench() as one:
            connections = one.connect(CONNECTIONS)
            one.disturb(delay=DELAY, jitter=JITTER, distribution=name)
            send(connections, CONNECTIONS, 1.0)
            time.sleep(1.0)
            one.took()
            send(connections, CONNECTIONS, DRAWN)
            time.sleep(1.0)
            delays = [(came - sent) / 1e9 for sent, came in one.took()]
            far = {other: stats.kstest(delays, cdf).statistic for other, cdf in SPREADS.items()}
            held = far[name] < FARTHEST and min(far, key=lambda other: far[other]) == name
            good &= held
            shown = ", ".join(f"{other} {value:.3f}" for other, value in far.items())
            print(f"{name}: {len(delays):,} delays, Kolmogorov-Smirnov distance to {shown}"
                  f"{'' if held else f' (NOT within {FARTHEST} of its own)'}", flush=True)  # fmt: skip
            for connection in connections:
                connection.close()
    return good


def _without(one: Bench, rate: int) -> list[float]:
    """How late messages are with no proxy in between: that is in every error too."""
    connections = one.connect(min(rate, 100), one.direct)
    time.sleep(0.2)
    one.took()
    send(connections, rate, 1.0)
    time.sleep(0.2)
    found = sorted(float(came - sent) for sent, came in one.took())
    for connection in connections:
        connection.close()
    return found


def share(values: list[float], part: float) -> float:
    """In milliseconds, of sorted nanoseconds."""
    return values[min(len(values) - 1, int(len(values) * part))] / 1e6 if values else float("inf")


def orders() -> bool:
    """Prints how soon a cut and its end take effect on live connections; whether within the bounds."""
    urgent()
    cuts, heals = [], []
    with bench() as one:
        connections = one.connect(LIVE)
        for connection in connections:
            connection.send(stamp())
        time.sleep(0.3)
        for _ in range(ORDERS):
            one.took()
            random.shuffle(connections)
            cuts.append(_cut(one, connections))
            heals.append(_heal(one))
    good = True
    for name, found in (("a cut", sorted(cuts)), ("its end", sorted(heals))):
        p50, p99 = share(found, 0.5), share(found, 0.99)
        held = p50 < 1 and p99 < 5
        good &= held
        print(f"{name} takes effect on {LIVE:,} live connections: p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
              f"worst {found[-1] / 1e6:.2f} ms{'' if held else ' (NOT within 1 and 5)'}")  # fmt: skip
    return good


def _cut(one: Bench, connections: list[socket.socket]) -> float:
    """From the order to the last message that was sent after it and still passed, in nanoseconds.

    Where none passed at all, to the answer: no sooner is it known that it holds.
    """
    start = time.time_ns()
    how = {"cut": True, "direction": "to-node"}
    one.begin("disturb", how=how, until=time.time() + 60)
    used = _send_until(one.answered, connections)
    answered = time.time_ns() - start
    _send_until(lambda gap: time.sleep(gap), connections[used : used + AFTER])
    time.sleep(0.02)
    return max((sent - start for sent, _ in one.took()), default=0) or answered


def _send_until(done: Callable[[float], bool | None], connections: list[socket.socket]) -> int:
    """A message on each connection, one after the other, until it is done; how many that were."""
    for number, connection in enumerate(connections):
        connection.send(stamp())
        if done(GAP):
            return number + 1
    return len(connections)


def _heal(one: Bench) -> float:
    """From the order to the arrival of what was held back: the first of it, in nanoseconds."""
    start = time.time_ns()
    one.order("clear")
    time.sleep(0.05)
    return min((came - start for _, came in one.took()), default=10**10)
