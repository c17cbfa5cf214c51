"""How long a verdict takes: `python -m bench.checkers [SIZE [PART …]]`, a share of the full sizes (1); a
part is a function below.

Each line ends with PASS or over, by the bound that it names. The peer is the search of Wing, Gong and Lowe
in plain Python on the same history, for at most PATIENCE seconds. Porcupine, Knossos and Elle come from
neither PyPI, npm nor Debian, so no figure of theirs is here.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bench import _histories, _plain
from engine.checkers.linearizable import Linearizable
from engine.checkers.list_append import ListAppend
from engine.checkers.queue import Queue
from engine.checkers.sequential import Sequential
from engine.checkers.versions import Versions
from engine.columns import NONE, Columns
from engine.history import History, read
from engine.recorded import MOST, options, schema
from engine.replay import steps
from engine.specs import REGISTRY as SPECS
from engine.verdict import Judgement, Verdict

LARGEST = """
import resource, time
from bench import _histories
from engine.checkers.linearizable import Linearizable
from engine.history import History
columns = _histories.register({count}, 1000)
start = time.perf_counter()
word = Linearizable("register").check(History(columns=columns)).verdict.word
print(word, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
MEMORY = 4.0  # GiB that ten million operations may take, with their making
PATIENCE = 10.0
RATES = {"JSON Lines": 400_000, "a column file": 10_000_000}  # operations a second that are read at least
PEER = "plain Python search"


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """The quickest of some, in seconds, and what it gave: others use this machine too."""
    found, result = float("inf"), None
    for _ in range(times):
        start = time.perf_counter()
        result = work()
        found = min(found, time.perf_counter() - start)
    return found, result


def told(name: str, ours: float, bound: float, besides: str = "") -> bool:
    """Prints one line, in seconds; whether it is within the bound."""
    within = "PASS" if ours < bound else "over"
    print(
        f"{name}: ours {_seconds(ours)}{besides}, bound {_seconds(bound)}, ratio {ours / bound:.2f}: {within}",
        flush=True,
    )
    return ours < bound


def _seconds(found: float) -> str:
    return f"{found:.2f} s" if found >= 1 else f"{found * 1e3:.3g} ms"


def judged(
    name: str, columns: Columns, checker: Any, expected: Verdict, spec: str = "", bound: float = 0.0
) -> bool:
    """Prints one line; false where the verdict is another than it must be, or it took too long."""
    seconds, judgement = best(lambda: checker.check(History(columns=columns)))
    assert isinstance(judgement, Judgement)
    besides = f" ({judgement.verdict.word})" + (f", {_peer(spec, columns, seconds)}" if spec else "")
    good = True
    if bound:
        good = told(name, seconds, bound, besides)
    else:
        print(f"{name}: ours {_seconds(seconds)}{besides}", flush=True)
    if judgement.verdict is not expected:
        print(f"  wrong: it must be {expected.word}: {judgement.headline}")
    return good and judgement.verdict is expected


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
    sizes = (10**5, 1, 0.0), (10**6, 1, 0.0), (10**6, 1, 0.01), (10**6, 1000, 0.0), (10**6, 1000, 0.01)
    for size, keys, most in sizes:
        count = int(size * share)
        bound = 0.0 if size < 10**6 else 0.1 * share if keys == 1 else 0.15 * share
        for wrong in (False, True):
            columns = _histories.register(count, keys, info=most, wrong=wrong)
            name = (
                f"register {count:,} operations, {keys:,} keys, {most:.0%} info{', wrong' if wrong else ''}"
            )
            expected = Verdict.VIOLATED if wrong else Verdict.HELD
            peer = "register" if count <= 10**5 else ""
            good &= judged(name, columns, Linearizable("register"), expected, peer, bound)
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
    median = sorted(times)[len(times) // 2]
    return told(f"register {len(times):,} histories of 200 operations, the median", median, 0.0005)


def searches(share: float) -> bool:
    count = int(10**4 * share)
    columns = _histories.cas_register(count)
    name = f"cas-register {count:,} operations, 10 clients, five values, wrong"
    return judged(name, columns, Linearizable("cas-register"), Verdict.VIOLATED, "cas-register", 0.5)


def queues(share: float) -> bool:
    good = True
    for wrong in (False, True):
        count = int(10**5 * share)
        columns = _histories.queue(count, wrong=wrong)
        name = f"queue {count:,} values{', wrong' if wrong else ''}"
        expected = Verdict.VIOLATED if wrong else Verdict.HELD
        good &= judged(name, columns, Queue(), expected, "queue", 0.1)
    return good


def transactions(share: float) -> bool:
    good = True
    for size in (10**5, 10**6):
        for wrong in (False, True):
            count = int(size * share)
            columns = _histories.list_append(count, wrong=wrong)
            name = f"list-append {count:,} transactions, every named anomaly{', wrong' if wrong else ''}"
            checker = ListAppend(level="strict-serializable")
            expected = Verdict.VIOLATED if wrong else Verdict.HELD
            good &= judged(name, columns, checker, expected, bound=5.0 * share if size == 10**6 else 0.0)
    return good


def sequentials(share: float) -> bool:
    """Every other client answers from a copy that lags behind: no order by the clock, and one without it."""
    good = True
    for size in (10**5, 10**6):
        for wrong in (False, True):
            count = int(size * share)
            columns = _histories.lagging(count, wrong=wrong)
            name = f"sequential register {count:,} operations, old answers{', wrong' if wrong else ''}"
            expected = Verdict.VIOLATED if wrong else Verdict.HELD
            good &= judged(name, columns, Sequential(timeout=20.0), expected)
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
    """Time against size: tenfold operations in about tenfold time, and the most within a bound of memory."""
    print(
        "  operations   register 1,000 keys      by versions            queue      list-append   (ns an operation)"
    )
    for size in (10**4, 10**5, 10**6):
        count = int(size * share)
        made: list[tuple[Any, Columns]] = [
            (Linearizable("register"), _histories.register(count, 1000)),
            (Versions("register"), _histories.versions(count, 1000)),
            (Queue(), _histories.queue(count // 2)),
            (ListAppend(), _histories.list_append(count)),
        ]
        times = [best(partial(_judge, k, c), 2)[0] / len(c) * 1e9 for k, c in made]
        print(f"{count:>12,}" + "".join(f"{time:>18,.0f}" for time in times), flush=True)
    return _largest(share)


def _judge(checker: Any, columns: Columns) -> Judgement:
    judgement: Judgement = checker.check(History(columns=columns))
    return judgement


def _largest(share: float) -> bool:
    """In a process of its own, so that its memory is its own."""
    count = int(10**7 * share)
    argv = [sys.executable, "-c", LARGEST.format(count=count)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    name = f"memory for a register of {count:,} operations"
    if done.returncode:
        print(f"{name}: over, it died: {done.stderr[-300:]}", flush=True)
        return False
    word, seconds, used = done.stdout.split()
    bound, besides = MEMORY * share, f" ({word}, in {float(seconds):.2f} s)"
    within = float(used) < bound and word == "held"
    print(
        f"{name}: ours {float(used):.2f} GiB{besides}, bound {bound:.2f} GiB, ratio {float(used) / bound:.2f}: "
        f"{'PASS' if within else 'over'}",
        flush=True,
    )
    return within


def reading(share: float) -> bool:
    """The same register as JSON Lines, beside orjson alone on the same lines, and as a run records it."""
    count = int(10**6 * share)
    columns = _histories.register(count, 1000)
    with tempfile.TemporaryDirectory() as directory:
        path, recorded = Path(directory, "history.jsonl"), Path(directory, "history.arrows")
        _write(path, columns)
        _record(recorded, columns)
        lines = path.read_bytes().splitlines()
        alone, _ = best(lambda: [orjson.loads(line) and None for line in lines], 2)
        peer = f", peer orjson alone {alone:.2f} s"
        good = True
        for (name, least), file, besides in zip(RATES.items(), (path, recorded), (peer, ""), strict=True):
            seconds, history = best(partial(read, file))
            rate = f" ({count / seconds:,.0f} operations a second{besides})"
            good &= told(f"reading {count:,} operations of {name}", seconds, count / least, rate)
            good &= len(history) == count
    return good


def _record(path: Path, c: Columns, events: int = MOST) -> None:
    """As engine.recorded.Writer does, all at once: so many events in a batch."""
    import pyarrow as pa

    count = len(c)
    time = np.concatenate([c.invoked, c.completed])
    index = np.empty(2 * count, np.int64)
    index[np.argsort(time, kind="stable")] = np.arange(2 * count)
    plain = np.array([v or 0 for v in c.values.values])

    def named(codes: Any, table: Any) -> Any:
        places = pa.array(codes - 1, pa.int32(), mask=codes == 0)
        return pa.DictionaryArray.from_arrays(places, pa.array(table.values[1:], pa.utf8()))

    def small(numbers: Any) -> Any:
        return pa.array(numbers, pa.int32())

    def whole(codes: Any) -> Any:
        return pa.array(plain[codes], mask=codes == NONE)

    nothing = pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int32()), pa.array([], pa.utf8()))
    texts = pa.nulls(count, pa.utf8())
    batch = pa.RecordBatch.from_arrays(
        [
            small(index[:count]), pa.array(c.invoked), pa.array(c.invoked), small(c.process),
            named(c.f, c.fs), named(c.key, c.keys), whole(c.value), texts, pa.array(c.completed),
            small(index[count:]), pa.array(c.outcome), whole(c.result), texts, nothing, nothing,
            pa.nulls(count, pa.int64()),
        ],
        schema=schema(),
    )  # fmt: skip
    order = np.argsort(c.completed, kind="stable")
    with path.open("wb") as file, pa.ipc.new_stream(file, schema(), options=options()) as stream:
        for start in range(0, count, events // 2):
            stream.write_batch(batch.take(pa.array(np.sort(order[start : start + events // 2]))))


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


def main(share: float, only: Sequence[str] = ()) -> int:
    parts = (registers, small, searches, queues, versions, sequentials, transactions, growth, reading)
    right = [part(share) for part in parts if not only or part.__name__ in only]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0, sys.argv[2:]))
