"""The demo on the board: registered once however often it starts, and honest about what cannot run."""

from pathlib import Path
from typing import Any

import pytest

from apps.experiments.models import Experiment
from apps.targets.models import Node, Target
from chaosboard.demo import board
from chaosboard.demo.systems import Demo
from engine.lab import CannotRun
from engine.lab.cluster import Cluster
from engine.lab.systems.etcd import Etcd


def as_the_demo_has_them(system: Cluster) -> list[dict[str, Any]]:
    system.name = f"{system.name.removesuffix(' demo')} demo"
    return system.documents()


@pytest.mark.systems
@pytest.mark.django_db
def test_a_second_demo_uses_what_the_first_registered(
    etcd_cluster: Cluster, valkey_sentinel: Cluster
) -> None:
    for _ in range(2):
        for system in (etcd_cluster, valkey_sentinel):
            board.register(as_the_demo_has_them(system))
            board.experiment_for(system.name)
    assert set(Target.objects.values_list("name", flat=True)) == {
        "etcd demo",
        "valkey demo",
        "valkey demo sentinels",
    }
    assert [e.versions.count() for e in Experiment.objects.all()] == [1, 1]


@pytest.mark.systems
@pytest.mark.django_db
def test_a_service_of_an_earlier_demo_gets_the_addresses_of_this_one(
    etcd_cluster: Cluster, tmp_path: Path
) -> None:
    board.register(as_the_demo_has_them(etcd_cluster))
    other = Cluster(Etcd(), tmp_path, name="etcd demo")
    try:
        other.start()
        board.register(other.documents())
    finally:
        other.stop()
    stored = set(Node.objects.values_list("address", flat=True))
    assert stored == {node.address for node in other.nodes}


def test_what_the_machine_cannot_run_is_said_and_the_demo_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    demo = Demo(tmp_path, tmp_path, "http://127.0.0.1:8000", lines.append)

    def cannot(*_args: object) -> None:
        raise CannotRun("etcd demo: there is no etcd for this machine")

    for system in demo.systems:
        monkeypatch.setattr(system, "start", cannot)
    demo.start_systems()
    while not demo.systems_started():
        demo.look()
    assert lines[0].strip() == "etcd demo: there is no etcd for this machine; the demo goes on without it"
    demo.start_experiments()
    assert lines[-1] == "No demo system runs on this machine; the board is up all the same."
