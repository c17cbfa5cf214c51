"""Every workload on every system that can keep it: whole, it is what its checkers say that it must be."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine import fitting, inspect
from engine.checkers import REGISTRY as CHECKERS
from engine.consistency import there
from engine.errors import BadInput
from engine.history import History, read
from engine.lab.cluster import Cluster
from engine.lab.systems.ceph_mon import CephMon
from engine.lab.systems.mariadb import Mariadb
from engine.lab.systems.nats import Nats
from engine.lab.systems.zookeeper import Zookeeper
from engine.load import read as read_spec
from engine.parameters import build, parameters
from engine.samples import Outcome
from engine.target import Target
from engine.verdict import Verdict
from engine.workloads import REGISTRY as WORKLOADS
from tests import postgres
from tests.engine.children import target
from tests.systems import running
from tests.waiting import until_async

FAST: dict[str, Any] = {"rate": "400/s", "clients": 4}
SOME = {  # of each system what its client does in a way of its own; memory has them all
    "etcd": ("register", "cas-register", "queue", "bank", "list-append"),
    "valkey": ("register", "set", "queue", "bank", "list-append"),
    "postgres": ("cas-register", "kv", "queue", "bank", "list-append"),
    "nats": ("register", "set"),
    "zookeeper": ("cas-register", "set"),
    "ceph-mon": ("register",),
    "mariadb": ("cas-register", "counter", "bank", "rw-register"),
}
KEEPERS: dict[str, Any] = {"nats": Nats, "zookeeper": Zookeeper}


async def recorded(
    directory: Path, name: str, what: dict[str, Any], operations: int = 80, **params: Any
) -> History:
    """The history of so many operations, or a few more."""
    spec = {"workload": {name: {**FAST, **params}}, "target": what, "directory": str(directory), "run": "r1"}
    load = read_spec(spec)
    pulled: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(load.run(pulled))
    try:
        await until_async(lambda: load.history._count >= 2 * operations or running.done())
        pulled.set_result("stop")
        await running
    finally:
        running.cancel()
    return read(directory / "history.arrows")


def judged(name: str, history: History) -> dict[str, Verdict]:
    workload, found = WORKLOADS.get(name), {}
    for checker in there(build(workload, {})):
        cls = CHECKERS.get(checker)
        takes = {p.name for p in parameters(cls)}
        found[checker] = (
            build(cls, {"spec": workload.keeps} if "spec" in takes else {}).check(history).verdict
        )
    return found


def assert_whole(name: str, history: History) -> None:
    ended = Counter(op.outcome for op in history.ops)
    assert ended[Outcome.OK] > len(history) // 2, [op for op in history.ops if op.outcome is not Outcome.OK][
        :5
    ]
    assert not ended[Outcome.INFO]
    verdicts = judged(name, history)
    assert verdicts[WORKLOADS.get(name).checkers[0]] is Verdict.HELD
    assert Verdict.VIOLATED not in verdicts.values()
    assert WORKLOADS.get(name)().counts(history)["lost"] in (None, 0)


@pytest.mark.parametrize("name", WORKLOADS.names())
async def test_on_memory(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path))
    assert_whole(name, await recorded(tmp_path, name, target("memory", "127.0.0.1:1")))


@pytest.mark.systems
@pytest.mark.parametrize("name", SOME["etcd"])
async def test_on_etcd(name: str, tmp_path: Path, etcd_cluster: Any) -> None:
    assert_whole(name, await recorded(tmp_path, name, etcd_cluster.document()))


@pytest.mark.systems
@pytest.mark.parametrize("name", SOME["valkey"])
async def test_on_valkey(name: str, tmp_path: Path, valkey_sentinel: Any) -> None:
    client = {"wait": 1} if name == "register" else {}
    assert_whole(name, await recorded(tmp_path, name, valkey_sentinel.document(), client=client))


@pytest.mark.systems
async def test_what_replicas_answer_comes_from_every_node(tmp_path: Path, etcd_cluster: Any) -> None:
    what = etcd_cluster.document()
    history = await recorded(tmp_path, "register", what, read_from="replicas", placement="rotate")
    assert {op.node for op in history.ops} == {node["name"] for node in what["nodes"]}
    assert all(op.version for op in history.ops if op.f == "write" and op.outcome is Outcome.OK)


@pytest.mark.systems
async def test_a_pinned_client_never_leaves_its_node(tmp_path: Path, etcd_cluster: Any) -> None:
    history = await recorded(
        tmp_path, "register", etcd_cluster.document(), placement="pinned", clients=3, keys=1
    )
    seen = {(op.process, op.node) for op in history.ops if op.process < 3}
    assert len(seen) == 3 == len({node for _, node in seen})


@pytest.mark.parametrize("name", WORKLOADS.names())
def test_every_call_is_one_of_its_spec(name: str) -> None:
    from engine.specs import REGISTRY as SPECS

    workload = build(WORKLOADS.get(name), {})
    calls = workload.calls(Random(1))
    names = {next(calls).f for _ in range(500)} | {call.f for call in workload.last()}
    assert names <= set(SPECS.get(name).names)


@pytest.mark.parametrize("name", WORKLOADS.names())
def test_its_checkers_are_known(name: str) -> None:
    assert WORKLOADS.get(name).checkers[0] in CHECKERS


def test_written_values_are_unique() -> None:
    calls = build(WORKLOADS.get("cas-register"), {"keys": 2}).calls(Random(1))
    written = [
        call.value[1] if call.f == "cas" else call.value for call in (next(calls) for _ in range(2000))
    ]
    values = [value for value in written if value is not None]
    assert len(values) == len(set(values))


def test_zipf_uses_the_first_key_most() -> None:
    calls = build(WORKLOADS.get("register"), {"keys": 10, "spread": "zipf"}).calls(Random(1))
    found = Counter(next(calls).key for _ in range(5000)).most_common()
    assert found[0][0] == "k0"
    assert found[0][1] > 3 * found[-1][1]


def test_what_cannot_be_is_said_in_words() -> None:
    workload = build(WORKLOADS.get("register"), {"read_from": "replicas"})
    with pytest.raises(BadInput, match="simulated nodes have no replicas"):
        fitting.client_for("register", workload, "memory")
    odd = build(WORKLOADS.get("register"), {"client": {"wiat": 1}})
    with pytest.raises(
        BadInput, match=r"workload\.register\.client\.wiat: unknown parameter; there are: wait"
    ):
        fitting.client_for("register", odd, "redis")


@pytest.fixture(scope="module")
def pair() -> Iterator[postgres.Pair]:
    with postgres.running_pair() as running:
        yield running


def tables(pair: postgres.Pair) -> Any:
    return pair.ask(pair.roles()[0], "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'chaosboard%'")


@pytest.mark.systems
@pytest.mark.parametrize("name", SOME["postgres"])
async def test_on_postgres(name: str, tmp_path: Path, pair: postgres.Pair) -> None:
    what = pair.target.to_dict()
    assert_whole(name, await recorded(tmp_path, name, what, client={"lock": True} if name == "bank" else {}))
    assert tables(pair) == 0


@pytest.fixture(scope="module")
def keeper(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One of the systems in which an object is kept under its key."""
    yield from running(KEEPERS[request.param](), tmp_path_factory.mktemp(request.param))


@pytest.mark.systems
@pytest.mark.parametrize(
    ("keeper", "name"), [(one, name) for one in KEEPERS for name in SOME[one]], indirect=["keeper"]
)
async def test_on_what_keeps_objects_under_their_keys(name: str, tmp_path: Path, keeper: Cluster) -> None:
    many = {} if name == "set" else {"keys": 50}
    assert_whole(name, await recorded(tmp_path, name, keeper.document(), **many))


@pytest.fixture(scope="module")
def ceph_mon() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="lab-", dir="/tmp") as folder:  # short: sockets are made in it
        yield from running(CephMon(), Path(folder))


@pytest.mark.systems
@pytest.mark.parametrize("name", SOME["ceph-mon"])
async def test_on_ceph_monitors(name: str, tmp_path: Path, ceph_mon: Cluster) -> None:
    assert_whole(name, await recorded(tmp_path, name, ceph_mon.document(), operations=60))


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from running(Mariadb(), tmp_path_factory.mktemp("mariadb"))


@pytest.mark.systems
@pytest.mark.parametrize("name", SOME["mariadb"])
async def test_on_mariadb(name: str, tmp_path: Path, mariadb: Cluster) -> None:
    client = {"database": "lab", **({"lock": True} if name == "bank" else {})}
    what = mariadb.document()
    assert await asyncio.to_thread(lambda: inspect.check(Target.from_dict(what)).nodes[0].reachable)
    assert_whole(name, await recorded(tmp_path, name, what, client=client))
