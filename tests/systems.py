"""Real systems for tests: the lab's own, on free ports, stopped when the module's tests are done.

Each test gets the system whole: what an earlier test killed or paused is brought back first.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.lab.cluster import Cluster
from engine.lab.systems import System
from engine.lab.systems.etcd import Etcd
from engine.lab.systems.valkey import Valkey


@pytest.fixture(scope="module")
def running_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from running(Etcd(), tmp_path_factory.mktemp("etcd"))


@pytest.fixture(scope="module")
def running_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from running(Valkey(), tmp_path_factory.mktemp("valkey"))


@pytest.fixture
def etcd_cluster(running_etcd: Cluster) -> Cluster:
    running_etcd.restore()
    return running_etcd


@pytest.fixture
def valkey_sentinel(running_valkey: Cluster) -> Cluster:
    running_valkey.restore()
    return running_valkey


def running(kind: System, directory: Path) -> Iterator[Cluster]:
    system = Cluster(kind, directory)
    try:
        system.start()
        yield system
    finally:
        system.stop()
