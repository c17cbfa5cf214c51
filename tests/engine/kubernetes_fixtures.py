"""A small cluster on the tests' own API server, and drivers that reach it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.drivers import _kubernetes_answers as answers
from engine.drivers import kubernetes
from engine.drivers.kubernetes import Kubernetes
from engine.parameters import dump
from engine.target import Node
from tests.engine.kubernetes_api import Server, serving
from tests.engine.kubernetes_cluster import Cluster

NODE = Node("one", "127.0.0.1:80")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(answers, "PAUSE", 0.01)
    monkeypatch.setattr(kubernetes, "REMEMBERS", -1.0)
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A cluster of two nodes, with three pods `web` of a Deployment and two `db` of a StatefulSet."""
    with serving(tmp_path / "pods") as one:
        cluster = one.cluster
        for name in ("node-1", "node-2"):
            cluster.add_node(name)
        cluster.add_workload("deployments", "web", 3)
        cluster.add_workload("statefulsets", "db", 2)
        cluster.settle()
        yield one


@pytest.fixture
def cluster(server: Server) -> Cluster:
    return server.cluster


@pytest.fixture
def params(server: Server, tmp_path: Path) -> dict[str, Any]:
    return {"namespace": "shop", "kubeconfig": server.kubeconfig(tmp_path / "config")}


@pytest.fixture
def web(params: dict[str, Any]) -> Kubernetes:
    return Kubernetes(workload="deployment/web", **params)


@pytest.fixture
def db(params: dict[str, Any]) -> Kubernetes:
    return Kubernetes(pod="db-0", **params)


def marked(cluster: Cluster) -> list[str]:
    """Everything in the cluster that shows anything of ours."""
    return [
        f"{kind} {name}"
        for (kind, _, name), one in cluster.objects.items()
        if "chaosboard" in json.dumps(one["metadata"]) or "chaosboard" in name
    ]


def in_target(driver: Kubernetes) -> Node:
    """NODE as a target has it, controlled by `driver`."""
    return Node(NODE.name, NODE.address, control="kubernetes", control_params=dump(driver))


def budget(cluster: Cluster, app: str, least: int) -> None:
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": app}}}
    cluster.create("poddisruptionbudgets", "shop", {"metadata": {"name": f"{app}-budget"}, "spec": spec})
