"""How long a verdict takes: `python -m bench.checkers [SIZE]`, a share of the full sizes (1).

The peer is the search of Wing, Gong and Lowe in plain Python on the same history, for at most PATIENCE
seconds. Porcupine, Knossos and Elle come from neither PyPI, npm nor Debian, so no figure of theirs is here.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from bench import _histories, _plain
from engine.checkers.linearizable import Linearizable
from engine.checkers.list_append import ListAppend
from engine.checkers.queue import Queue
from engine.checkers.versions import Versions
from engine.columns import Columns
from engine.history import History, read
from engine.replay import steps
from engine.specs import REGISTRY as SPECS
from engine.verdict import Judgement, Verdict

LARGEST = """
import resource, sys, time
from bench import _histories
from engine.checkers.linearizable import Linearizable
from engine.history import History
columns = _histories.register({count}, 1000)
start = time.perf_counter()
word = Linearizable("register").check(History(columns=columns)).verdict.word
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{{seconds:.2f}} s ({{word}}), {{used:.2f}} GiB with the making of the history; at most 4 GiB")
sys.exit(used > 4 or word != "held")
"""
PATIENCE = 10.0
PEER = "plain Python search"


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The quickest of some, in seconds, and what it gave: others use this machine too."""
    found, result = float("inf"), None
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        found = min(found, time.perf_counter() - start)
    return found, result


def judged(name: str, columns: Columns, checker: Any, expected: Verdict, spec: str = "") -> bool:
    """Prints one line; false where the verdict is another than it must be."""
    seconds, judgement = best(lambda: checker.check(History(columns=columns)))
    assert isinstance(judgement, Judgement)
    told = f"{name}: ours {seconds * 1e3:.1f} ms ({judgement.verdict.word})"
    print(f"{told}, {_peer(spec, columns, seconds)}" if spec else told, flush=True)
    if judgement.verdict is not expected:
        print(f"  wrong: it must be {expected.word}: {judgement.headline}")
    return judgement.verdict is expected


def _peer(spec_name: str, columns: Columns, ours: float) -> str:
    spec: Any = SPECS.get(spec_name)()
    start, answers = time.perf_counter(), []
    for ops in History(columns=columns).by_key().values():
        left = PATIENCE - (time.perf_counter() - start)
        answers.append(_plain.linearizable(spec, steps(spec, ops), left))
        if not answers[-1]:
            break
    seconds = time.perf_counter() - start
    if None in answers:
        return f"peer {PEER} no answer in {PATIENCE:g} s, ratio under {ours / PATIENCE:.4f}"
    return f"peer {PEER} {seconds * 1e3:.0f} ms, ratio {ours / seconds:.4f}"


def registers(share: float) -> bool:
    good = True
    for count, keys, most in ((10**5, 1, 0.0), (10**6, 1, 0.0), (10**6, 1000, 0.0), (10**6, 1000, 0.01)):
        count = int(count * share)
        for wrong in (False, True):
            columns = _histories.register(count, keys, info=most, wrong=wrong)
            name = (
                f"register {count:,} operations, {keys:,} keys, {most:.0%} info{', wrong' if wrong else ''}"
            )
            expected = Verdict.VIOLATED if wrong else Verdict.HELD
            peer = "register" if count <= 10**5 else ""
            good &= judged(name, columns, Linearizable("register"), expected, peer)
    return good


def small(share: float) -> bool:
    """A thousand histories of 200 operations, one after the other."""
    histories = [History(columns=_histories.register(200 + i % 7, 1)) for i in range(int(1000 * share))]
    times = []
    for history in histories:
        start = time.perf_counter()
        verdict = Linearizable("register").check(history).verdict
        times.append(time.perf_counter() - start)
        assert verdict is Verdict.HELD
    print(
        f"register {len(times):,} histories of 200 operations: ours {sorted(times)[len(times) // 2] * 1e3:.3f} ms median"
    )
    return True


def searches(share: float) -> bool:
    count = int(10**4 * share)
    columns = _histories.cas_register(count)
    name = f"cas-register {count:,} operations, 10 clients, five values, wrong"
    return judged(name, columns, Linearizable("cas-register"), Verdict.VIOLATED, "cas-register")


def queues(share: float) -> bool:
    good = True
    for wrong in (False, True):
        count = int(10**5 * share)
        columns = _histories.queue(count, wrong=wrong)
        name = f"queue {count:,} values{', wrong' if wrong else ''}"
        good &= judged(name, columns, Queue(), Verdict.VIOLATED if wrong else Verdict.HELD, "queue")
    return good


def transactions(share: float) -> bool:
    good = True
    for size in (10**5, 10**6):
        for wrong in (False, True):
            count = int(size * share)
            columns = _histories.list_append(count, wrong=wrong)
            name = f"list-append {count:,} transactions, every named anomaly{', wrong' if wrong else ''}"
            checker = ListAppend(level="strict-serializable")
            good &= judged(name, columns, checker, Verdict.VIOLATED if wrong else Verdict.HELD)
    return good


def versions(share: float) -> bool:
    """Values that repeat, judged by the versions that the store told."""
    count = int(10**6 * share)
    good = True
    for wrong in (False, True):
        columns = _histories.versions(count, 1000, wrong=wrong)
        name = f"register {count:,} operations of three values, by versions{', wrong' if wrong else ''}"
        good &= judged(name, columns, Versions("register"), Verdict.VIOLATED if wrong else Verdict.HELD)
    return good


def growth(share: float) -> bool:
    """Time against size: tenfold operations in about tenfold time, and the most within 4 GiB."""
    print(
        "  operations   register 1,000 keys      by versions            queue      list-append   (ns an operation)"
    )
    for size in (10**4, 10**5, 10**6):
        count = int(size * share)
        made: list[tuple[Any, Columns]] = [
            (Linearizable("register"), _histories.register(count, 1000)),
            (Versions("register"), _histories.versions(count, 1000)),
            (Queue(), _histories.queue(count // 2)),
            (ListAppend(), _histories.list_append(min(count, 10**5))),
        ]
        times = [best(lambda c=c, k=k: k.check(History(columns=c)))[0] / len(c) * 1e9 for k, c in made]  # type: ignore[misc]  # bound as it is
        print(f"{count:>12,}" + "".join(f"{time:>18,.0f}" for time in times), flush=True)
    return _largest(int(10**7 * share))


def _largest(count: int) -> bool:
    """In a process of its own, so that its memory is its own."""
    argv = [sys.executable, "-c", LARGEST.format(count=count)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    print(f"register {count:,} operations: ours {done.stdout.strip() or done.stderr[-300:]}", flush=True)
    return done.returncode == 0


def reading(share: float) -> bool:
    """JSON Lines of a register, beside orjson alone on the same lines."""
    count = int(10**6 * share)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "history.jsonl")
        _write(path, _histories.register(count, 1000))
        lines = path.read_bytes().splitlines()
        alone, _ = best(lambda: [orjson.loads(line) and None for line in lines], 2)
        seconds, history = best(lambda: read(path), 2)
    rate = len(history) / seconds
    print(
        f"reading {count:,} operations of JSON Lines: ours {seconds:.2f} s ({rate:,.0f} operations a second), "
        f"peer orjson alone {alone:.2f} s, ratio {seconds / alone:.2f}"
    )
    return len(history) == count


def _write(path: Path, c: Columns) -> None:
    events = []
    for row in range(len(c)):
        shared = {"process": row, "f": c.fs.values[c.f[row]], "key": c.keys.values[c.key[row]]}
        value, result = c.values.values[c.value[row]], c.values.values[c.result[row]]
        events.append((int(c.invoked[row]), {**shared, "type": "invoke", "value": value}))
        events.append((int(c.completed[row]), {**shared, "type": "ok", "value": result}))
    events.sort(key=lambda event: event[0])
    with path.open("wb") as out:
        for index, (at, event) in enumerate(events):
            out.write(orjson.dumps({"index": index, "time": at, **event}) + b"\n")


def main(share: float) -> int:
    parts = (registers, small, searches, queues, versions, transactions, growth, reading)
    right = [part(share) for part in parts]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
