"""Clients of a real PostgreSQL whose primary is paused and killed in the middle of transactions."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.checkers import REGISTRY as CHECKERS
from engine.history import History, read
from engine.load import Load
from engine.load import read as read_spec
from engine.parameters import build
from engine.samples import Outcome
from engine.verdict import Verdict
from tests import postgres
from tests.waiting import until_async

pytestmark = pytest.mark.systems


@pytest.fixture(scope="module")
def running() -> Iterator[postgres.Pair]:
    with postgres.running_pair() as pair:
        yield pair


@pytest.fixture
def pair(running: postgres.Pair) -> postgres.Pair:
    running.cluster.restore()
    return running


@asynccontextmanager
async def loaded(
    pair: postgres.Pair, directory: Path, name: str, *, stopped: bool = True, **params: Any
) -> AsyncIterator[Load]:
    """A load that is under way, and is stopped or else cancelled afterwards, with no task left."""
    workload = {"rate": "200/s", "clients": 4, "timeout": "1s", **params}
    what = pair.target.to_dict()
    load = read_spec({"workload": {name: workload}, "target": what, "directory": str(directory), "run": "r"})
    pulled: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(load.run(pulled))
    try:
        await more(load, 60)
        yield load
        if stopped:
            pulled.set_result("stop")
            async with asyncio.timeout(30):
                await running
    finally:
        running.cancel()
    await until_async(lambda: len(asyncio.all_tasks()) == 1)


async def more(load: Load, events: int) -> None:
    start = load.history._count
    await until_async(lambda: load.history._count >= start + events)


def send(pair: postgres.Pair, name: str, number: signal.Signals) -> None:
    """To the server and all that it started."""
    server = psutil.Process(pair.cluster.node(name).pid)
    for process in (server, *server.children(recursive=True)):
        process.send_signal(number)


def tables(pair: postgres.Pair) -> Any:
    return pair.ask(pair.roles()[0], "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'chaosboard%'")


def verdict(checker: str, history: History, **options: Any) -> Verdict:
    return build(CHECKERS.get(checker), options).check(history).verdict


async def test_a_load_ends_though_the_primary_was_paused_in_the_middle_of_transactions(
    pair: postgres.Pair, tmp_path: Path
) -> None:
    options = {"accounts": 3, "client": {"isolation": "read-committed"}}
    async with loaded(pair, tmp_path, "bank", **options) as load:
        for _ in range(2):
            send(pair, "n1", signal.SIGSTOP)
            await more(load, 12)  # of each client one that has no answer, and what comes after it
            send(pair, "n1", signal.SIGCONT)
            await more(load, 60)
    assert tables(pair) == 0


async def test_no_money_is_lost_by_a_kill_of_the_primary(pair: postgres.Pair, tmp_path: Path) -> None:
    async with loaded(pair, tmp_path, "bank", client={"isolation": "serializable"}) as load:
        await asyncio.to_thread(postgres.end, pair.cluster.node("n1").pid)
        await more(load, 12)
        await asyncio.to_thread(pair.cluster.restore)
        await more(load, 60)
    history = read(tmp_path / "history.arrows")
    assert verdict("bank", history) is Verdict.HELD
    assert tables(pair) == 0


async def test_the_standby_answers_reads_while_the_primary_is_paused(
    pair: postgres.Pair, tmp_path: Path
) -> None:
    options = {"read_from": "replicas", "placement": "pinned"}
    async with loaded(pair, tmp_path, "register", **options) as load:
        send(pair, "n1", signal.SIGSTOP)
        await more(load, 24)
        send(pair, "n1", signal.SIGCONT)
    ops = read(tmp_path / "history.arrows").ops
    assert {op.node for op in ops if op.f == "read" and op.outcome is Outcome.OK} == {"n1", "n2"}


async def test_a_cancelled_load_ends_at_once_though_the_server_says_nothing(
    pair: postgres.Pair, tmp_path: Path
) -> None:
    async with loaded(pair, tmp_path, "register", stopped=False) as load:
        send(pair, "n1", signal.SIGSTOP)
        await more(load, 2)
    send(pair, "n1", signal.SIGCONT)
