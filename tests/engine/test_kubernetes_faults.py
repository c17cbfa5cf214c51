# ruff: noqa: F811 - the fixtures are imported
"""The faults that are for Kubernetes alone, on the tests' own API server: never on a cluster."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine import capabilities, undo
from engine.drivers import _kubernetes_chaos as chaos
from engine.drivers import _kubernetes_nodes as nodes
from engine.drivers.kubernetes import Kubernetes
from engine.errors import BadInput, EngineError, Refused, Unreachable
from engine.faults.chaos_mesh import ChaosMesh
from engine.faults.cordon import Cordon
from engine.faults.exec import Exec
from engine.faults.scale import Scale
from engine.parameters import build
from tests.engine.kubernetes_api import Server
from tests.engine.kubernetes_cluster import FINALIZER, Cluster
from tests.engine.kubernetes_fixtures import (  # noqa: F401
    NODE,
    budget,
    cluster,
    db,
    in_target,
    marked,
    params,
    server,
    state,
    web,
)
from tests.waiting import until

# Scale


def test_a_workload_is_scaled_and_scaled_back(server: Server, cluster: Cluster, web: Kubernetes) -> None:
    fault = Scale(replicas=1)
    before = cluster.get("deployments", "shop", "web")["metadata"]
    captured = fault.capture(web, NODE)
    fault.inject(web, NODE, captured, "m1", 1_900_000_000)
    told = cluster.get("deployments", "shop", "web")
    assert told["spec"]["replicas"] == 1
    assert told["metadata"]["annotations"] == {
        "chaosboard/mark": "m1", "chaosboard/until": "2030-03-17T17:46:40+00:00", "chaosboard/replicas": "3",
    }  # fmt: skip
    assert fault.read_back(web, NODE, captured, "m1").gone is False
    with pytest.raises(Refused, match="Deployment web carries the mark of another fault already, m1"):
        fault.capture(web, NODE)
    with pytest.raises(Refused, match="carries the mark of another fault"):
        fault.inject(web, NODE, captured, "m2", 1_900_000_000)
    for _ in range(2):
        fault.heal(web, NODE, captured, "m1")
    until(lambda: fault.read_back(web, NODE, captured, "m1").gone)
    assert len(cluster.ready("web")) == 3
    after = cluster.get("deployments", "shop", "web")["metadata"]
    assert not after["annotations"]
    assert after["labels"] == before["labels"] == {"app": "web"}
    assert [one.body for one in server.asked("PATCH", "/scale$")] == [
        {"spec": {"replicas": n}} for n in (1, 3)
    ]


def test_what_somebody_else_scaled_meanwhile_is_left_alone(cluster: Cluster, web: Kubernetes) -> None:
    captured = web.capture_scale(NODE)
    cluster.patch("deployments", "shop", "web", {"spec": {"replicas": 5}})
    web.unscale(captured, "m1")  # nothing carries our mark: nothing was done
    assert cluster.get("deployments", "shop", "web")["spec"]["replicas"] == 5
    assert web.unscaled(captured, "m1").gone is True


def test_a_statefulset_is_scaled_by_the_name_of_its_pod(cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture_scale(NODE)
    db.scale(captured, "m1", 0, time.time() + 60)
    until(lambda: cluster.ready("db") == [])
    cluster.comes_up = 60
    db.unscale(captured, "m1")
    assert db.unscaled(captured, "m1").gone is False, "scaled back, and not ready yet"
    cluster.comes_up = 0
    until(lambda: db.unscaled(captured, "m1").gone)


def test_what_must_not_be_scaled_is_refused(
    cluster: Cluster, web: Kubernetes, params: dict[str, Any]
) -> None:
    cluster.add_pod("bare")
    with pytest.raises(Refused, match="belongs to no Deployment or StatefulSet"):
        Kubernetes(pod="bare", **params).capture_scale(NODE)
    target = {"kind": "Deployment", "name": "web"}
    cluster.create(
        "horizontalpodautoscalers", "shop", {"metadata": {"name": "auto"}, "spec": {"scaleTargetRef": target}}
    )
    with pytest.raises(Refused, match="The autoscaler auto scales web"):
        web.capture_scale(NODE)


def test_a_workload_with_a_part_of_the_board_is_not_scaled(cluster: Cluster, web: Kubernetes) -> None:
    one = cluster.get("deployments", "shop", "web")
    one["spec"]["template"]["metadata"]["labels"] = {"app.kubernetes.io/part-of": "chaosboard"}
    cluster.update("deployments", one)
    with pytest.raises(Refused, match="part of chaosboard itself"):
        web.capture_scale(NODE)


def test_autoscalers_that_may_not_be_seen_stop_nothing(server: Server, web: Kubernetes) -> None:
    server.denied = {("list", "horizontalpodautoscalers")}
    assert web.capture_scale(NODE)["replicas"] == 3


def test_a_workload_that_went_is_not_scaled(cluster: Cluster, web: Kubernetes) -> None:
    captured = web.capture_scale(NODE)
    cluster.delete("deployments", "shop", "web", {})
    with pytest.raises(Unreachable, match="is gone or was made anew"):
        web.scale(captured, "m1", 0, time.time() + 60)
    web.unscale(captured, "m1")
    assert web.unscaled(captured, "m1").gone is None


# Cordon


def test_a_machine_is_closed_and_opened(cluster: Cluster, db: Kubernetes) -> None:
    fault = Cordon()
    captured = fault.capture(db, NODE)
    fault.inject(db, NODE, captured, "m1", time.time() + 60)
    host = cluster.get("nodes", "", captured["host"])
    assert host["spec"]["unschedulable"] is True
    assert host["metadata"]["annotations"]["chaosboard/mark"] == "m1"
    assert host["metadata"]["labels"] == {"chaosboard/mark": "m1"}, "so that kubectl -l finds it"
    assert fault.read_back(db, NODE, captured, "m1").gone is False
    with pytest.raises(Refused, match="Node node-1 carries the mark of another fault already"):
        fault.capture(db, NODE)
    fault.heal(db, NODE, captured, "m2")
    assert fault.read_back(db, NODE, captured, "m1").gone is False
    for _ in range(2):
        fault.heal(db, NODE, captured, "m1")
    assert fault.read_back(db, NODE, captured, "m1").text == "the node node-1 is open to new pods"
    assert marked(cluster) == []
    assert cluster.ready("db") == ["db-0", "db-1"], "nobody was evicted"


def test_a_machine_that_was_closed_stays_closed(cluster: Cluster, db: Kubernetes) -> None:
    cluster.patch("nodes", "", "node-1", {"spec": {"unschedulable": True}})
    captured = db.capture_cordon(NODE, False)
    db.cordon(captured, "m1", time.time() + 60)
    db.uncordon(captured, "m1")
    assert cluster.get("nodes", "", "node-1")["spec"]["unschedulable"] is True
    assert db.uncordoned(captured, "m1").gone is True
    assert marked(cluster) == []


def test_a_machine_that_somebody_closed_after_us_is_told(cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture_cordon(NODE, False)
    cluster.patch("nodes", "", "node-1", {"spec": {"unschedulable": True}})
    db.uncordon(captured, "m1")
    assert "by somebody else" in db.uncordoned(captured, "m1").text
    cluster.delete("nodes", "", "node-1", {})
    assert db.uncordoned(captured, "m1").gone is True
    with pytest.raises(Unreachable, match="node-1 is gone"):
        db.cordon(captured, "m1", time.time() + 60)


def test_a_drained_machine_is_left_by_all_but_those_that_stay(cluster: Cluster, db: Kubernetes) -> None:
    agent = {"kind": "DaemonSet", "name": "agents", "uid": "u", "controller": True}
    cluster.add_pod("agent", ownerReferences=[agent])
    cluster.add_pod("mirror", annotations={nodes.MIRROR: "x"})
    cluster.add_pod("dns", "kube-system")
    db.cordon(db.capture_cordon(NODE, True), "m1", time.time() + 60)
    until(lambda: len(cluster.ready("web")) == 3 and len(cluster.ready("db")) == 2)
    where = {p["metadata"]["name"]: p["spec"]["nodeName"] for p in cluster.there("pods")}
    assert {name for name, host in where.items() if host == "node-1"} == {"agent", "mirror", "dns"}


def test_a_drained_machine_is_healed_when_what_left_it_is_ready_again(
    cluster: Cluster, db: Kubernetes
) -> None:
    cluster.delete("nodes", "", "node-2", {})  # so nobody has anywhere to go
    captured = db.capture_cordon(NODE, True)
    db.cordon(captured, "m1", time.time() + 60)
    until(lambda: cluster.ready("web") == cluster.ready("db") == [])
    cluster.comes_up = 60
    db.uncordon(captured, "m1")
    found = db.uncordoned(captured, "m1")
    assert found.gone is False
    assert found.text.startswith("the node node-1 is open to new pods, but ")
    assert "0 of 3 pods of web are ready" in found.text
    cluster.comes_up = 0
    until(lambda: db.uncordoned(captured, "m1").gone)
    assert (len(cluster.ready("web")), len(cluster.ready("db"))) == (3, 2)


def test_a_drain_asks_again_while_a_budget_forbids_it(
    server: Server, cluster: Cluster, db: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "AGAIN", 0.02)
    budget(cluster, "web", 2)  # so one at a time
    db.cordon(db.capture_cordon(NODE, True), "m1", time.time() + 60)
    until(lambda: len(cluster.ready("web")) == 3)
    assert {p["spec"]["nodeName"] for p in cluster.there("pods", "shop")} == {"node-2"}


def test_a_drain_that_does_not_end_is_healed(
    cluster: Cluster, db: Kubernetes, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    monkeypatch.setattr(nodes, "AGAIN", 0.02)
    monkeypatch.setattr(nodes, "EMPTIES", 0.1)
    budget(cluster, "web", 3)
    record = undo.prepare(state, "r", "f0", "cordon", Cordon(drain=True), in_target(db), 60)
    with pytest.raises(EngineError, match=r"could not be drained in time. Its PodDisruptionBudget"):
        undo.inject(state, record)
    assert undo.records(state) == []
    assert marked(cluster) == []
    assert "unschedulable" not in cluster.get("nodes", "", "node-1")["spec"]


def test_a_machine_that_must_not_be_drained_is_refused(
    server: Server, cluster: Cluster, db: Kubernetes
) -> None:
    cluster.add_pod("bare", "other")
    with pytest.raises(Refused, match="Nothing would bring back bare, which run on node-1"):
        db.capture_cordon(NODE, True)
    cluster.add_pod("board", "other", labels={"app.kubernetes.io/part-of": "chaosboard"})
    with pytest.raises(Refused, match=r"board is part of chaosboard itself.* It runs on node-1"):
        db.capture_cordon(NODE, True)
    server.denied = {("create", "pods/eviction")}
    with pytest.raises(Refused, match="To drain node-1, the credentials may not create pods/eviction;"):
        db.capture_cordon(NODE, True)
    assert db.capture_cordon(NODE, False)["pods"] == []


# Exec


def test_a_command_runs_in_the_pod_and_is_taken_back(
    server: Server, cluster: Cluster, db: Kubernetes
) -> None:
    fault = Exec(command=["touch", "broken thing"], undo=["rm", "-f", "broken thing"])
    assert fault.line(["one"]) == "run `touch 'broken thing'` in one, and back `rm -f 'broken thing'`"
    file = cluster.folder / "db-0" / "broken thing"
    captured = fault.capture(db, NODE)
    fault.inject(db, NODE, captured, "m1", time.time() + 60)
    assert file.exists()
    told = cluster.get("pods", "shop", "db-0")["metadata"]["annotations"]
    assert json.loads(told["chaosboard/undo"]) == ["rm", "-f", "broken thing"]
    assert fault.read_back(db, NODE, captured, "m1").gone is False
    with pytest.raises(Refused, match="Pod db-0 carries the mark"):
        fault.capture(db, NODE)
    fault.heal(db, NODE, captured, "m2")
    assert file.exists(), "the mark of another"
    for _ in range(2):
        fault.heal(db, NODE, captured, "m1")
    assert not file.exists()
    assert fault.read_back(db, NODE, captured, "m1").gone is True
    assert marked(cluster) == []
    assert [one.body[0] for one in server.asked("EXEC", "db-0")] == ["touch", "rm"]


def test_the_output_and_the_container_are_those_asked_for(
    server: Server, cluster: Cluster, params: dict[str, Any]
) -> None:
    driver = Kubernetes(pod="db-0", container="sidecar", **params)
    captured = driver.capture_exec(NODE)
    assert driver.execute(captured, "m1", ["echo", "hallo"], [], 5) == "hallo"
    assert server.asked("EXEC", "db-0")[0].query == {"container": "sidecar"}
    with pytest.raises(Refused, match="has no container x, only main and sidecar"):
        Kubernetes(pod="db-1", container="x", **params).capture_exec(NODE)


def test_a_command_that_fails_is_told_with_what_it_printed(db: Kubernetes) -> None:
    captured = db.capture_exec(NODE)
    with pytest.raises(EngineError, match=r"`sh -c .* in the pod db-0 ended with status 3: oh dear"):
        db.execute(captured, "m1", ["sh", "-c", "echo oh dear >&2; exit 3"], [], 5)


def test_an_undo_that_fails_keeps_the_mark(cluster: Cluster, db: Kubernetes, state: Path) -> None:
    fault = Exec(command=["true"], undo=["test", "-e", "repaired"])
    record = undo.inject(state, undo.prepare(state, "r", "f0", "exec", fault, in_target(db), 60))
    healed = undo.heal(state, record.id)
    assert healed
    assert (healed.state, "ended with status 1" in healed.text) == ("unverified", True)
    assert db.unexecuted(record.captured, record.id).gone is False
    (cluster.folder / "db-0" / "repaired").touch()
    again = undo.heal(state, record.id)
    assert again
    assert again.state == "clean"
    assert marked(cluster) == []


def test_a_command_that_does_not_end_is_not_a_success(db: Kubernetes) -> None:
    captured = db.capture_exec(NODE)
    with pytest.raises(EngineError, match=r"did not end within 0.2 s; it may still run there"):
        db.execute(captured, "m1", ["sleep", "1"], [], 0.2)


def test_a_pod_that_was_replaced_needs_no_undo(cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture_exec(NODE)
    db.execute(captured, "m1", ["true"], ["false"], 5)
    cluster.delete("pods", "shop", "db-0", {"gracePeriodSeconds": 0})
    until(lambda: "db-0" in cluster.ready("db"))
    db.unexecute(captured, "m1", ["false"], 5)
    assert "was replaced" in db.unexecuted(captured, "m1").text
    with pytest.raises(Unreachable, match="nothing was run"):
        db.execute(captured, "m1", ["true"], [], 5)


def test_a_command_that_cannot_be_run_is_told(
    server: Server, cluster: Cluster, db: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = db.capture_exec(NODE)
    server.denied = {("create", "pods/exec")}
    with pytest.raises(Refused, match="may not get and create pods/exec in namespace shop"):
        db.execute(captured, "m1", ["true"], [], 5)
    server.denied = set()
    with pytest.raises(Unreachable, match=r"No command could be run in the pod db-0|connection broke"):
        db.execute(captured, "m1", ["no-such-command-anywhere"], [], 5)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"command": "true"}, "needs an undo command"), ({"command": "", "needs_no_undo": True}, "needs the command"),
        ({"command": "a", "undo": "b", "needs_no_undo": True}, "leave one of them out"), ({}, "is missing"),
    ],
)  # fmt: skip
def test_a_command_without_undo_is_refused(values: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        build(Exec, values)
    assert "needs no undo" in build(Exec, {"command": "true", "needs_no_undo": True}).line(["one"])


# Chaos Mesh

DELAY = {"kind": "NetworkChaos", "spec": {"action": "delay", "delay": {"latency": "100ms"}}}


def test_chaos_mesh_hurts_that_pod_alone_for_as_long_as_the_lease(cluster: Cluster, db: Kubernetes) -> None:
    fault = ChaosMesh(resource={**DELAY, "metadata": {"name": "ignored", "labels": {"team": "a"}}})
    captured = fault.capture(db, NODE)
    fault.inject(db, NODE, captured, "m1", time.time() + 60.5)
    (one,) = cluster.there("networkchaos", "shop")
    assert one["spec"] == {
        "action": "delay", "delay": {"latency": "100ms"}, "mode": "one", "duration": "60s",
        "selector": {"pods": {"shop": ["db-0"]}},
    }  # fmt: skip
    assert one["metadata"]["name"] == "chaosboard-m1"
    assert one["metadata"]["labels"] == {
        "team": "a", "app.kubernetes.io/managed-by": "chaosboard", "chaosboard/mark": "m1",
    }  # fmt: skip
    assert "chaosboard/until" in one["metadata"]["annotations"]
    assert fault.read_back(db, NODE, captured, "m1").text.endswith("is still there: not all is recovered")
    for _ in range(2):
        fault.heal(db, NODE, captured, "m1")
    until(lambda: fault.read_back(db, NODE, captured, "m1").gone)
    assert marked(cluster) == []


def test_chaos_mesh_that_does_not_recover_is_stuck(cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture_resource(NODE, DELAY)
    db.apply(captured, "m1", time.time() + 60)
    cluster.chaos_recovers = False
    db.withdraw(captured, "m1")
    until(lambda: "does not answer" in db.withdrawn(captured, "m1").text)
    found = db.withdrawn(captured, "m1")
    assert (found.gone, found.text) == (
        False, f"NetworkChaos chaosboard-m1 is stuck on its finalizer {FINALIZER}: not all is recovered: "
        "the daemon on node-1 does not answer",
    )  # fmt: skip
    cluster.chaos_recovers = True
    until(lambda: db.withdrawn(captured, "m1").gone)


def test_chaos_mesh_that_does_not_inject_is_told(
    cluster: Cluster, db: Kubernetes, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    monkeypatch.setattr(chaos, "BEGINS", 0.3)
    cluster.chaos_injects = False
    record = undo.prepare(state, "r", "f0", "chaos-mesh", ChaosMesh(resource=DELAY), in_target(db), 60)
    with pytest.raises(EngineError, match=r"did not inject the NetworkChaos in time: the daemon on node-1"):
        undo.inject(state, record)
    assert undo.records(state) == []
    assert marked(cluster) == []


def test_chaos_mesh_that_is_not_installed_is_told(server: Server, cluster: Cluster, db: Kubernetes) -> None:
    with pytest.raises(Refused, match="The Chaos Mesh of this cluster has no StressChaos"):
        db.capture_resource(NODE, {"kind": "StressChaos", "spec": {"stressors": {}}})
    server.denied = {("delete", "networkchaos")}
    with pytest.raises(Refused, match="The credentials may not delete networkchaos in namespace shop"):
        db.capture_resource(NODE, DELAY)
    cluster.chaos_mesh = False
    assert "not installed" in db.cannot(capabilities.Apply)
    with pytest.raises(Refused, match="Chaos Mesh is not installed in this cluster"):
        db.capture_resource(NODE, DELAY)


def test_a_foreign_chaos_of_our_name_is_left_alone(server: Server, cluster: Cluster, db: Kubernetes) -> None:
    cluster.create("networkchaos", "shop", {"metadata": {"name": "chaosboard-m1"}, "spec": {}})
    captured = db.capture_resource(NODE, DELAY)
    with pytest.raises(Refused, match="is there, and is not ours"):
        db.apply(captured, "m1", time.time() + 60)
    db.withdraw(captured, "m1")
    assert server.asked("DELETE", "networkchaos") == []
    assert db.withdrawn(captured, "m1").gone is True
    with pytest.raises(Refused, match="Less than a second"):
        db.apply(captured, "m1", time.time())


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        ({"kind": "Schedule", "spec": {"a": 1}}, "is no kind of Chaos Mesh that hits pods"),
        ({"kind": "PodChaos"}, "needs its spec"), ({**DELAY, "status": {}}, "status is no part"),
        ({"kind": "PodChaos", "spec": {"action": "pod-kill", "selector": {}, "duration": "1h"}},
         "leave selector and duration out of spec"),
    ],
)  # fmt: skip
def test_a_resource_that_hits_others_is_refused(resource: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        build(ChaosMesh, {"resource": resource})
    assert build(ChaosMesh, {"resource": DELAY}).line(["one"]) == "apply a NetworkChaos (delay) to one"
