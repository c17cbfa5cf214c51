"""PostgreSQL: who leads, and the lead passed on, on a real primary and its standby."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import inspect, processes, undo, warden
from engine.drivers import _postgres_follow as follow
from engine.drivers import _postgres_switch as switch
from engine.drivers._postgres_files import Files
from engine.drivers.process import Process
from engine.errors import Refused
from engine.faults import Fault
from engine.faults.detach_replica import DetachReplica
from engine.faults.transfer_leader import TransferLeader
from engine.probes import Reading
from engine.probes.postgres import Postgres as Probe
from engine.samples import Status
from engine.target import Node
from tests.engine.injecting import end_warden
from tests.engine.test_probes import look, view
from tests.postgres import Pair, lost, running_pair, writing
from tests.waiting import until


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with running_pair() as pair:
        yield pair


async def test_only_the_primary_is_good_and_both_say_who_leads(pair: Pair) -> None:
    leader, other = pair.roles()
    first, second = pair.target.node(leader), pair.target.node(other)
    standby = Reading(False, "it is a standby", Status.STANDBY)
    assert [await look(Probe(), n.address) for n in (first, second)] == [Reading(True), standby]
    assert [(await look(Probe(check="select"), n.address)).ok for n in (first, second)] == [True, True]
    write = await look(Probe(check="write"), second.address)
    assert (write.ok, write.why) == (False, Status.BAD)
    assert (await look(Probe(check="write"), first.address)).ok
    views = [await view(Probe(), n.address) for n in (first, second)]
    assert [v.leader for v in views] == [first.address, first.address]
    assert all(v.position for v in views)


async def test_a_role_that_may_not_log_in_is_told_in_the_words_of_the_server(pair: Pair) -> None:
    leader, _ = pair.roles()
    reading = await look(Probe(user="nobody-knows"), pair.target.node(leader).address)
    assert reading == Reading(False, 'role "nobody-knows" does not exist')


def test_inspection_names_the_leader(pair: Pair) -> None:
    leader, _ = pair.roles()
    until(lambda: inspect.leader(pair.target) == leader)


async def test_looks_at_a_server_that_hangs_are_given_up_and_good_again_when_it_goes_on(pair: Pair) -> None:
    leader, _ = pair.roles()
    node = pair.target.node(leader)
    session = Probe(connections=2).session(node)
    assert (await session.look()).ok
    captured = Process(port=node.port).capture(node)  # with the process that serves this session
    Process(port=node.port).pause(captured)
    try:
        looks = [asyncio.create_task(session.look()) for _ in range(3)]
        done, hanging = await asyncio.wait(looks, timeout=0.3)
        assert [task.result().why for task in done] == [Status.OVERLOAD]
        for task in hanging:
            task.cancel()
    finally:
        Process(port=node.port).unpause(captured)
    async with asyncio.timeout(10):
        while not (await session.look()).ok:
            await asyncio.sleep(0.02)  # between two looks
    await session.close()


def prepared(state: Path, node: Node, fault: Fault | None = None) -> undo.UndoRecord:
    fault = fault or TransferLeader()
    name = "detach-replica" if isinstance(fault, DetachReplica) else "transfer-leader"
    return undo.prepare(state, "r", "f0", name, fault, node, 60)


def left(pair: Pair) -> list[str]:
    """What is in the data directories that a switch-over wrote for itself."""
    files = [path for name in pair.addresses for path in pair.data(name).glob("chaosboard*")]
    signals = [path for name in pair.addresses for path in pair.data(name).glob("standby.signal")]
    return [path.name for path in files] + [path.read_text() for path in signals if path.read_text()]


def test_the_lead_passes_to_the_standby_and_the_old_primary_follows_it(pair: Pair, state: Path) -> None:
    leader, other = pair.roles()
    to = pair.target.node(other).address
    with writing(pair) as acknowledged:
        record = undo.inject(state, prepared(state, pair.target.node(leader)))
        assert record.text == f"{to} leads now"
        assert pair.roles() == (other, leader)
        healed = undo.heal(state, record.id)
        assert healed
        assert (healed.state, healed.text) == (
            "clean", f"{to} leads, {leader} follows it, nothing is lost",
        )  # fmt: skip
    assert lost(pair, acknowledged) == set()
    assert left(pair) == []


def by_another(*does: Callable[[], object]) -> int:
    """The pid of a process that does it."""
    pid = os.fork()
    if pid == 0:
        try:
            for one in does:
                one()
        finally:
            os._exit(1)
    return pid


def killed_at_some_instant(pid: int) -> None:
    time.sleep(random.uniform(0, 0.6))  # no wait for anything: this is the instant
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def killed_after(owner: Any, name: str, word: str = "", by: int = signal.SIGKILL) -> Callable[[], None]:
    """Sends this process a signal as soon as `owner.name` has done its work, where its arguments have `word`."""

    def patch() -> None:
        real = getattr(owner, name)

        def last(*args: Any, **named: Any) -> Any:
            result = real(*args, **named)
            if word in repr(args):
                os.kill(os.getpid(), by)
            return result

        setattr(owner, name, last)

    return patch


CUTS = {
    "it has begun": (Files, "begin"),
    "the way to follow is written": (switch, "remember"),
    "the old primary is marked": (os, "link"),
    "the old primary is told to stop": (processes, "send"),
    "the old primary is gone": (switch, "shut_down_at"),
    "the standby may be promoted": (Files, "move"),
    "the standby is promoted": (switch, "ask", "pg_promote"),
    "the old primary is started": (Process, "start"),
    "the mark is taken away": (os, "truncate"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_whoever_is_killed_when(cut: str, pair: Pair, state: Path) -> None:
    leader, _ = pair.roles()
    with writing(pair) as acknowledged:
        record = prepared(state, pair.target.node(leader))
        pid = by_another(killed_after(*CUTS[cut]), lambda: undo.inject(state, record))
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        assert_healed(pair, state, record)
    assert lost(pair, acknowledged) == set()


def goes_on(pid: int) -> None:
    """Thaws it as often as it freezes, until it has ended."""
    frozen = True
    while frozen:
        os.kill(pid, signal.SIGCONT)
        frozen = os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])


FROZEN = {
    "before the old primary is told to stop": (switch.Switch, "_prepared"),
    "when the old primary is gone": (switch, "shut_down_at"),
    "when the standby may be promoted": (Files, "move"),
}


@pytest.mark.parametrize("when", FROZEN)
def test_whoever_is_frozen_and_goes_on_after_another_has_healed(when: str, pair: Pair, state: Path) -> None:
    leader, _ = pair.roles()
    with writing(pair) as acknowledged:
        record = prepared(state, pair.target.node(leader))
        freeze = killed_after(*FROZEN[when], by=signal.SIGSTOP)
        pid = by_another(freeze, lambda: undo.inject(state, record))
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        assert_healed(pair, state, record)
        goes_on(pid)
        pair.roles()
    assert left(pair) == []
    assert lost(pair, acknowledged) == set()


def assert_healed(pair: Pair, state: Path, record: undo.UndoRecord) -> None:
    until(lambda: (healed := undo.heal(state, record.id)) is None or healed.state == "clean")
    told = undo.record_of(state, record.id)
    assert told
    assert told.text.endswith("follows it, nothing is lost")
    pair.roles()
    assert left(pair) == []


def test_whoever_injects_and_whoever_heals_is_killed_at_any_instant_and_it_leaves_one_primary_and_loses_nothing(
    pair: Pair, state: Path
) -> None:
    with writing(pair) as acknowledged:
        for _ in range(10):
            leader, _ = pair.roles()
            record = prepared(state, pair.target.node(leader))
            pid = by_another(lambda record=record: undo.inject(state, record))
            killed_at_some_instant(pid)
            killed_at_some_instant(by_another(lambda id=record.id: undo.heal(state, id)))
            assert_healed(pair, state, record)
    assert lost(pair, acknowledged) == set()


def test_the_warden_brings_it_to_its_end_when_all_else_is_dead(pair: Pair, state: Path) -> None:
    leader, _ = pair.roles()
    record = prepared(state, pair.target.node(leader))
    pid = by_another(killed_after(switch, "shut_down_at"), lambda: undo.inject(state, record))
    os.waitpid(pid, 0)
    try:
        warden.ensure(state)
        until(lambda: undo.records(state) == [])
    finally:
        end_warden(state)
    assert pair.roles()[0] == leader
    assert left(pair) == []


def test_what_cannot_be_done_safely_is_refused_in_words(pair: Pair, state: Path) -> None:
    leader, other = pair.roles()
    node, standby = pair.target.node(leader), pair.target.node(other)
    with pytest.raises(Refused, match=f"{other} does not lead: it follows the server on port {node.port}"):
        prepared(state, standby)
    with pytest.raises(Refused, match="Leave out `back`"):
        prepared(state, node, TransferLeader(back=True))
    with pytest.raises(Refused, match=f"no standby n9. There are: {standby.address}"):
        prepared(state, node, TransferLeader(to="n9"))
    with pytest.raises(Refused, match="Control it with the process driver"):
        prepared(state, Node(leader, node.address, kind="postgres"))
    wrong = Node(
        leader, node.address, control="process", control_params={"pid": os.getppid()}, kind="postgres"
    )
    with pytest.raises(Refused):
        prepared(state, wrong)
    assert undo.records(state) == []


def test_a_replication_slot_would_stay_behind_so_it_is_refused(pair: Pair, state: Path) -> None:
    leader, _ = pair.roles()
    pair.ask_leader("SELECT pg_create_physical_replication_slot('kept')")
    try:
        with pytest.raises(Refused, match="keeps replication slots, which do not move with the lead: kept"):
            prepared(state, pair.target.node(leader))
    finally:
        pair.ask_leader("SELECT pg_drop_replication_slot('kept')")


def test_a_signal_file_of_somebody_else_is_never_overwritten(pair: Pair, state: Path) -> None:
    leader, _ = pair.roles()
    signal_file = pair.data(leader) / "standby.signal"
    record = prepared(state, pair.target.node(leader))
    signal_file.touch()
    try:
        with pytest.raises(Refused, match="not from chaosboard"):
            undo.inject(state, record)
        assert signal_file.exists()
        assert pair.roles()[0] == leader
    finally:
        signal_file.unlink()
    assert undo.records(state) == []


def kept_log(pair: Pair) -> int:
    return sum(int(pair.ask(name, "SELECT count(*) FROM pg_replication_slots")) for name in pair.addresses)


def test_a_detached_standby_gets_old_and_follows_again_with_all_that_was_written(
    pair: Pair, state: Path
) -> None:
    leader, other = pair.roles()
    first, second = pair.target.node(leader), pair.target.node(other)
    pair.ask_leader("CREATE TABLE kept (number int)")
    try:
        record = undo.inject(state, prepared(state, second, DetachReplica()))
        assert not pair.streams(other)
        assert undo.look(record).gone is False
        pair.order(leader, "INSERT INTO kept VALUES (1)", "SELECT pg_switch_wal()", "CHECKPOINT")
        assert not pair.ask(other, "SELECT count(*) FROM kept")
        healed = undo.heal(state, record.id)
        assert healed
        assert (healed.state, healed.text) == ("clean", f"{second.address} follows {first.address}")
        until(lambda: pair.ask(other, "SELECT count(*) FROM kept") == 1)
    finally:
        pair.ask_leader("DROP TABLE kept")
    assert kept_log(pair) == 0


@pytest.mark.parametrize("after", ["pg_create_physical_replication_slot", "ALTER SYSTEM", "pg_reload_conf"])
def test_a_standby_is_given_back_whoever_is_killed_when(after: str, pair: Pair, state: Path) -> None:
    _, other = pair.roles()
    record = prepared(state, pair.target.node(other), DetachReplica())
    place = (follow, "remember") if after == "ALTER SYSTEM" else (follow, "ask", after)
    pid = by_another(killed_after(*place), lambda: undo.inject(state, record))
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    healed = undo.heal(state, record.id)
    assert healed
    assert healed.state == "clean"
    assert pair.streams(other)
    assert kept_log(pair) == 0


def test_the_database_of_the_board_itself_is_never_hurt(
    pair: Pair, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, other = pair.roles()
    for name, fault in ((leader, TransferLeader()), (other, DetachReplica())):
        node = pair.target.node(name)
        monkeypatch.setenv("DATABASE_URL", f"postgres://board@localhost:{node.port}/board")
        with pytest.raises(Refused, match="DATABASE_URL"):
            prepared(state, node, fault)


def test_only_what_follows_is_detached(pair: Pair, state: Path) -> None:
    leader, _ = pair.roles()
    with pytest.raises(Refused, match=f"{leader} is no standby"):
        prepared(state, pair.target.node(leader), DetachReplica())
