"""500 browsers watch a run of ten ticks a second, from one web process on one core: who loses what, and when?

    python -m bench.live [BROWSERS] [SECONDS]

Ours is the board's own web process, with its sessions, its database and its checks: a tick is stored
as events and published once. The peer is a group of the channel layer with Channels' own dispatch, on
the same web server, core, Redis and ticks, with no database and no sessions.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench._servers import ROOT, valkey, waits_for
from chaosboard import ports

BROWSERS, SECONDS, RATE = 500, 20.0, 10
P99 = 100.0  # ms


class Watched(NamedTuple):
    """Delays in ms from a tick's being made to its arrival in a browser; CPU of the web process in cores."""

    p50: float
    p99: float
    most: float
    missing: int
    repeated: int
    cpu: float


def main(browsers: int, seconds: float) -> int:
    ticks = round(seconds * RATE)
    with tempfile.TemporaryDirectory() as folder, valkey() as server:
        os.environ.update(
            CHAOSBOARD_STATE=folder, REDIS_URL=f"redis://{server.node.address}/0", DEBUG="0",
            ALLOWED_HOSTS="127.0.0.1", LOG_LEVEL="WARNING", DJANGO_SETTINGS_MODULE="bench._live_settings",
        )  # fmt: skip
        import django

        django.setup()
        from bench import _live_run

        run, cookie = _live_run.make()
        ours = watch("chaosboard.asgi:application", f"/ws/runs/{run.pk}/", cookie, browsers, ticks,
                     _live_run.teller(run))  # fmt: skip
        group = watch("bench._live_group:application", "/ws/", "", browsers, ticks, _live_run.group_teller())
    load = os.getloadavg()[0]
    for name, one in (("ours", ours), ("group of the channel layer", group)):
        print(f"  {name}: p50 {one.p50:.0f} ms, p99 {one.p99:.0f} ms, most {one.most:.0f} ms, missing "
              f"{one.missing:,} of {browsers * ticks:,} ticks, repeated {one.repeated}, {one.cpu:.0%} of a core")  # fmt: skip
    print(f"a tick to {browsers} browsers, p99: ours {ours.p99:.0f} ms, peer channel layer {group.p99:.0f} ms, "
          f"ratio {group.p99 / ours.p99:.1f} (load {load:.1f})")  # fmt: skip
    held = not ours.missing and not ours.repeated and ours.p99 < P99
    print(
        f"live: {'none lost, within' if held else 'NOT whole and within'} {P99:.0f} ms at the 99th percentile"
    )
    return 0 if held else 1


def watch(
    application: str, path: str, cookie: str, browsers: int, ticks: int, tell: Callable[[int], None]
) -> Watched:
    first, *others = sorted(os.sched_getaffinity(0))
    with web(application, first) as (process, port):
        argv = [sys.executable, "-m", "bench._live_browsers", f"ws://127.0.0.1:{port}{path}", str(browsers),
                str(ticks), cookie]  # fmt: skip
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as clients:
            os.sched_setaffinity(clients.pid, others or [first])
            assert clients.stdout
            assert clients.stdout.readline() == "ready\n", "not all browsers were let in"
            time.sleep(1.0)
            before, begun = sum(process.cpu_times()[:2]), time.monotonic()
            for tick in range(1, ticks + 1):
                time.sleep(max(0.0, begun + tick / RATE - time.monotonic()))
                tell(tick)
            used = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - begun)
            found = json.loads(clients.stdout.readline())
    delays = sorted(found["delays"]) or [float("inf")]
    return Watched(
        delays[len(delays) // 2], delays[int(len(delays) * 0.99)], delays[-1], found["missing"],
        found["repeated"], used,
    )  # fmt: skip


@contextmanager
def web(application: str, core: int) -> Iterator[tuple[psutil.Process, int]]:
    """One uvicorn, as the board starts it, on one core."""
    port = ports.choose(1)[0]
    argv = [sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port),
            "--ws-per-message-deflate", "false", "--no-access-log", "--log-level", "warning"]  # fmt: skip
    process = subprocess.Popen(argv, cwd=ROOT)
    try:
        os.sched_setaffinity(process.pid, {core})
        waits_for(port, process)
        yield psutil.Process(process.pid), port
    finally:
        process.kill()
        process.wait()


def numbers(words: list[str]) -> tuple[int, float]:
    given: list[Any] = [*words, *[BROWSERS, SECONDS][len(words) :]]
    return int(given[0]), float(given[1])


if __name__ == "__main__":
    sys.path.insert(0, str(Path(ROOT)))
    sys.exit(main(*numbers(sys.argv[1:])))
