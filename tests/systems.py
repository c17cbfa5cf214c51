"""Real systems for tests: the demo's own, on free ports, stopped when the module's tests are done.

Each test gets the system whole: what an earlier test killed or paused is brought back first.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from chaosboard.demo.etcd import EtcdCluster
from chaosboard.demo.system import System
from chaosboard.demo.valkey import ValkeySentinel

S = TypeVar("S", bound=System)


@pytest.fixture(scope="module")
def running_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    yield from _running(EtcdCluster, tmp_path_factory.mktemp("etcd"))


@pytest.fixture(scope="module")
def running_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeySentinel]:
    yield from _running(ValkeySentinel, tmp_path_factory.mktemp("valkey"))


@pytest.fixture
def etcd_cluster(running_etcd: EtcdCluster) -> EtcdCluster:
    running_etcd.restore()
    return running_etcd


@pytest.fixture
def valkey_sentinel(running_valkey: ValkeySentinel) -> ValkeySentinel:
    running_valkey.restore()
    return running_valkey


def _running(kind: type[S], directory: Path) -> Iterator[S]:
    system = kind(directory, state=directory)
    try:
        system.start()
        yield system
    finally:
        system.stop()
