"""PostgreSQL: who leads, and the lead passed on, on a real primary and its standby."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import inspect
from engine.probes import Reading
from engine.probes.postgres import Postgres as Probe
from engine.samples import Status
from tests.engine.test_probes import look, view
from tests.postgres import Pair, running_pair
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
    standby = Reading(False, "it is a standby")
    assert [await look(Probe(), n.address) for n in (first, second)] == [Reading(True), standby]
    assert [(await look(Probe(check="select"), n.address)).ok for n in (first, second)] == [True, True]
    write = await look(Probe(check="write"), second.address)
    assert (write.ok, write.why) == (False, Status.BAD)
    assert (await look(Probe(check="write"), first.address)).ok
    views = [await view(Probe(), n.address) for n in (first, second)]
    assert [v.leader for v in views] == [first.address, first.address]


async def test_a_role_that_may_not_log_in_is_told_in_the_words_of_the_server(pair: Pair) -> None:
    leader, _ = pair.roles()
    reading = await look(Probe(user="nobody-knows"), pair.target.node(leader).address)
    assert reading == Reading(False, 'role "nobody-knows" does not exist')


def test_inspection_names_the_leader(pair: Pair) -> None:
    leader, _ = pair.roles()
    until(lambda: inspect.leader(pair.target) == leader)
