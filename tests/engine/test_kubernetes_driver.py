# ruff: noqa: F811 - the fixtures are imported
"""The kubernetes driver and its faults, on the tests' own API server: never on a cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaosboard import ports
from engine import capabilities, drivers, undo, warden
from engine.drivers import _kubernetes_pods as pods
from engine.drivers import _kubernetes_return as coming_back
from engine.drivers import kubernetes
from engine.drivers.kubernetes import Kubernetes
from engine.errors import BadInput, EngineError, Refused, Unreachable
from engine.faults.evict import Evict
from engine.faults.kill import Kill
from engine.faults.rolling_restart import RollingRestart
from engine.faults.scale import Scale
from engine.parameters import build
from engine.target import Node
from tests.engine.kubernetes_api import Server
from tests.engine.kubernetes_cluster import Cluster
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

DENY_ALL = {"podSelector": {}, "policyTypes": ["Ingress"]}


# Which pod


def test_a_pod_is_found_by_name_selector_and_workload(cluster: Cluster, params: dict[str, Any]) -> None:
    ways: list[dict[str, Any]] = [
        {"pod": "db-1"},
        {"selector": "app=db", "index": 1},
        {"workload": "statefulset/db", "index": 1},
    ]
    found = [Kubernetes(**params, **way).victim(NODE) for way in ways]
    assert found == ["pod db-1 in namespace shop"] * 3
    assert Kubernetes(**params).victim(Node("db-1", "127.0.0.1:80")) == found[0], "by the name of the node"
    web = {Kubernetes(workload="deployment/web", index=i, **params).victim(NODE) for i in range(3)}
    assert web == {f"pod {name} in namespace shop" for name in cluster.ready("web")}


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ({"pod": "none"}, "There is no pod none in namespace shop."),
        ({"workload": "deployment/none"}, "There is no deployment none in namespace shop."),
        ({"workload": "deployment/web", "index": 3}, "deployment/web has 3 pods in namespace shop, so there"),
        ({"selector": "app=none"}, "the selector app=none has 0 pods"),
    ],
)
def test_a_pod_that_is_not_there_is_told(way: dict[str, Any], why: str, params: dict[str, Any]) -> None:
    driver = Kubernetes(**params, **way)
    assert why in driver.refusal(NODE)
    assert driver.victim(NODE) == ""
    with pytest.raises(Unreachable):
        driver.capture(NODE)


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ({"pod": "a", "selector": "b=c"}, "in 2 ways"),
        ({"workload": "daemonset/x"}, "is no workload"),
        ({"workload": "web"}, "is no workload"),
        ({"namespace": ""}, "needs a namespace"),
    ],
)
def test_bad_parameters_are_named(way: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        build(Kubernetes, way)


# What is refused


def test_what_must_not_be_hurt_is_refused(
    cluster: Cluster, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cluster.add_pod("dns", "kube-system")
    cluster.add_pod("part", labels={"app.kubernetes.io/part-of": "chaosboard"})
    cluster.add_pod("board")
    assert "keeps the cluster alive" in Kubernetes(
        **{**params, "namespace": "kube-system"}, pod="dns"
    ).refusal(NODE)
    assert "part of chaosboard itself" in Kubernetes(pod="part", **params).refusal(NODE)
    board = Kubernetes(pod="board", **params)
    assert board.refusal(NODE) == ""
    account = tmp_path / "namespace"
    account.write_text("shop")
    monkeypatch.setattr(pods, "ACCOUNT", account)
    monkeypatch.setenv("HOSTNAME", "board")
    assert board.refusal(NODE) == "", "a host of this name outside of the cluster"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert "part of chaosboard itself" in board.refusal(NODE)
    with pytest.raises(Refused, match="never hurt"):
        board.capture(NODE)


def test_a_pod_that_is_not_ready_is_refused(cluster: Cluster, db: Kubernetes) -> None:
    assert db.refusal(NODE) == ""
    cluster.set_ready("shop", "db-0", False)
    assert db.refusal(NODE) == "The pod db-0 is not ready: its container main waits, CrashLoopBackOff."
    cluster.goes = 60
    cluster.delete("pods", "shop", "db-0", {})
    assert db.refusal(NODE) == "The pod db-0 is being deleted already."


def test_an_api_that_is_away_is_told(server: Server, params: dict[str, Any], tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{ports.choose(1)[0]}"
    away = Kubernetes(**{**params, "kubeconfig": server.kubeconfig(tmp_path / "away", url)}, pod="db-0")
    assert f"The Kubernetes API at {url} did not answer" in away.refusal(NODE)
    assert "did not answer" in away.cannot(capabilities.Kill)
    assert "did not answer" in away.cannot(capabilities.Apply)
    assert "No Kubernetes cluster is configured" in Kubernetes(kubeconfig="/no/such/file", pod="x").cannot(
        capabilities.Kill
    )


@pytest.mark.parametrize(
    ("capability", "denied"),
    [
        (capabilities.Kill, ("delete", "pods")), (capabilities.Restart, ("watch", "pods")),
        (capabilities.Evict, ("create", "pods/eviction")), (capabilities.Isolate, ("create", "networkpolicies")),
        (capabilities.Scale, ("patch", "deployments/scale")), (capabilities.Cordon, ("patch", "nodes")),
        (capabilities.Exec, ("create", "pods/exec")),
    ],
)  # fmt: skip
def test_a_missing_right_is_named(
    server: Server, web: Kubernetes, capability: type, denied: tuple[str, str]
) -> None:
    assert web.cannot(capability) == ""
    server.denied = {denied}
    where = "" if denied[1] == "nodes" else " in namespace shop"
    assert web.cannot(capability) == (
        f"the credentials may not {denied[0]} {denied[1]}{where}; grant it by a Role or ClusterRole"
    )
    assert f"one: the credentials may not {denied[0]} {denied[1]}" in drivers.lacks(
        in_target(web), capability
    )


def test_what_it_may_is_asked_once_for_a_page(
    server: Server, web: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "REMEMBERS", 60.0)
    for _ in range(3):
        assert web.cannot(capabilities.Cordon) == ""
    assert len(server.asked("POST", "selfsubjectaccessreviews")) == 2


# Kill, restart, evict


def test_a_killed_pod_of_a_deployment_is_replaced(server: Server, cluster: Cluster, web: Kubernetes) -> None:
    captured = web.capture(NODE)
    assert json.loads(json.dumps(captured)) == captured
    cluster.comes_up = 60
    web.signal(captured, "KILL")
    assert captured["pod"] not in cluster.ready("web")
    found = web.running(NODE, captured)
    cluster.comes_up = 0
    assert (found.gone, found.text[:31]) == (False, "2 of 3 pods of web are ready: w")
    web.start(NODE, captured)
    until(lambda: web.running(NODE, captured).gone)
    (said,) = server.asked("DELETE", captured["pod"])
    assert said.body["gracePeriodSeconds"] == 0
    assert said.body["preconditions"] == {"uid": captured["uid"]}


def test_term_leaves_the_pod_its_own_grace(server: Server, cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture(NODE)
    cluster.comes_up = 60
    db.signal(captured, "TERM")
    assert "gracePeriodSeconds" not in server.asked("DELETE", "db-0")[0].body
    assert db.running(NODE, captured).gone is False
    cluster.comes_up = 0
    until(lambda: db.running(NODE, captured).gone)
    assert cluster.get("pods", "shop", "db-0")["metadata"]["uid"] != captured["uid"]
    with pytest.raises(Refused, match="KILL or TERM, not by SEGV"):
        db.signal(captured, "SEGV")


def test_a_pod_that_took_its_place_is_not_killed(cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture(NODE)
    db.signal(captured, "KILL")
    until(lambda: db.running(NODE, captured).gone)
    uid = cluster.get("pods", "shop", "db-0")["metadata"]["uid"]
    db.signal(captured, "KILL")
    assert cluster.get("pods", "shop", "db-0")["metadata"]["uid"] == uid


def test_a_workload_has_at_least_its_replicas_again(cluster: Cluster, web: Kubernetes) -> None:
    captured = web.capture(NODE)
    for meanwhile, after in ((1, 3), (5, 5)):
        cluster.patch("deployments", "shop", "web", {"spec": {"replicas": meanwhile}})
        web.start(NODE, captured)
        assert cluster.get("deployments", "shop", "web")["spec"]["replicas"] == after
    until(lambda: web.running(NODE, captured).gone)


def test_a_replica_set_without_deployment_brings_its_pods_back(
    cluster: Cluster, params: dict[str, Any]
) -> None:
    cluster.add_workload("replicasets", "solo", 2)
    until(lambda: len(cluster.ready("solo")) == 2)
    driver = Kubernetes(selector="app=solo", **params)
    captured = driver.capture(NODE)
    assert captured["workload"] == ["replicasets", "solo"]
    driver.signal(captured, "KILL")
    until(lambda: driver.running(NODE, captured).gone)
    with pytest.raises(Refused, match="belongs to no Deployment or StatefulSet"):
        driver.capture_scale(NODE)


def test_a_workload_that_is_gone_is_unknown(cluster: Cluster, web: Kubernetes) -> None:
    captured = web.capture(NODE)
    cluster.delete("deployments", "shop", "web", {})
    web.start(NODE, captured)
    assert web.running(NODE, captured).gone is None


def test_a_bare_pod_is_created_again_as_it_was(cluster: Cluster, params: dict[str, Any]) -> None:
    driver = Kubernetes(pod="bare", **params)
    before = cluster.add_pod("bare", labels={"a": "b"}, annotations={"c": "d"})
    captured = driver.capture(NODE)
    driver.signal(captured, "KILL")
    assert driver.running(NODE, captured).text == "the pod bare is not there"
    for _ in range(2):
        driver.start(NODE, captured)
    until(lambda: driver.running(NODE, captured).gone)
    after = cluster.get("pods", "shop", "bare")
    assert after["metadata"]["labels"] == {"a": "b"}
    assert after["metadata"]["annotations"] == {"c": "d"}
    assert after["spec"] == before["spec"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_a_bare_pod_that_still_ends_is_ended_before_it_comes_back(
    cluster: Cluster, params: dict[str, Any]
) -> None:
    cluster.add_pod("bare")
    cluster.never_ends = {"bare"}
    driver = Kubernetes(pod="bare", **params)
    captured = driver.capture(NODE)
    driver.signal(captured, "TERM")
    assert "is not ready" in driver.running(NODE, captured).text
    driver.start(NODE, captured)
    until(lambda: driver.running(NODE, captured).gone)


def test_a_creation_whose_answer_was_lost_is_not_done_twice(
    server: Server, cluster: Cluster, params: dict[str, Any]
) -> None:
    cluster.add_pod("bare")
    driver = Kubernetes(pod="bare", **params)
    captured = driver.capture(NODE)
    driver.signal(captured, "KILL")
    server.trouble("POST", "/pods$", how="drop", after=True)
    driver.start(NODE, captured)
    assert len(server.asked("POST", "/pods$")) == 2
    until(lambda: driver.running(NODE, captured).gone)


def test_a_pod_of_an_unknown_owner_is_refused(cluster: Cluster, params: dict[str, Any]) -> None:
    cluster.add_pod(
        "agent", ownerReferences=[{"kind": "DaemonSet", "name": "agents", "uid": "u", "controller": True}]
    )
    with pytest.raises(Refused, match="belongs to DaemonSet agents, of which"):
        Kubernetes(pod="agent", **params).capture(NODE)


def test_a_stopped_pod_is_awaited_and_forced_when_it_hangs(
    server: Server, cluster: Cluster, db: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = db.capture(NODE)
    db.stop(captured, 5.0)
    assert server.asked("DELETE", "db-0")[0].body["gracePeriodSeconds"] == 5
    until(lambda: db.running(NODE, captured).gone)
    monkeypatch.setattr(coming_back, "ENDS", 0.2)
    cluster.never_ends = {"db-0"}
    captured = db.capture(NODE)
    db.stop(captured, 0.1)
    assert [one.body["gracePeriodSeconds"] for one in server.asked("DELETE", "db-0")] == [5, 1, 0]
    until(lambda: db.running(NODE, captured).gone)


def test_a_pod_that_does_not_go_by_force_is_told(
    server: Server, cluster: Cluster, db: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coming_back, "ENDS", 0.1)
    cluster.never_ends = {"db-0"}
    captured = db.capture(NODE)
    cluster.patch("pods", "shop", "db-0", {"metadata": {"finalizers": ["somebody/else"]}})
    with pytest.raises(EngineError, match="did not go, though"):
        db.stop(captured, 0.1)


def test_a_rolling_restart_waits_for_each_pod(cluster: Cluster, params: dict[str, Any]) -> None:
    fault = RollingRestart(grace=1.0, pause=0.0)
    before = [cluster.get("pods", "shop", f"db-{i}")["metadata"]["uid"] for i in range(2)]
    for i in range(2):
        driver = Kubernetes(pod=f"db-{i}", **params)
        captured = fault.capture(driver, NODE)
        fault.inject(driver, NODE, captured, "m", time.time() + 30)
        assert f"db-{i}" in cluster.ready("db")
    assert before != [cluster.get("pods", "shop", f"db-{i}")["metadata"]["uid"] for i in range(2)]


def test_an_evicted_pod_is_replaced(server: Server, cluster: Cluster, web: Kubernetes) -> None:
    budget(cluster, "web", 2)
    fault = Evict()
    captured = fault.capture(web, NODE)
    cluster.comes_up = 60
    fault.inject(web, NODE, captured, "m", time.time() + 9)
    assert fault.read_back(web, NODE, captured, "m").gone is False
    cluster.comes_up = 0
    for _ in range(2):
        fault.heal(web, NODE, captured, "m")
    until(lambda: fault.read_back(web, NODE, captured, "m").gone)
    body = server.asked("POST", "/eviction")[0].body
    assert (body["apiVersion"], body["kind"]) == ("policy/v1", "Eviction")
    assert body["deleteOptions"] == {"preconditions": {"uid": captured["uid"]}}
    web.evict(captured)  # it is gone already


def test_an_eviction_that_collides_with_another_is_not_a_success(server: Server, web: Kubernetes) -> None:
    captured = web.capture(NODE)
    server.trouble("POST", "/eviction", code=409)
    with pytest.raises(Unreachable, match="was not evicted: Kubernetes answered 409"):
        web.evict(captured)


def test_a_disruption_budget_that_forbids_it_is_told(
    server: Server, cluster: Cluster, web: Kubernetes
) -> None:
    budget(cluster, "web", 3)
    captured = web.capture(NODE)
    with pytest.raises(
        Refused, match="The disruption budget web-budget needs 3 healthy pods and has 3 currently"
    ):
        web.evict(captured)
    assert len(server.asked("POST", "/eviction")) == 1, "an answer, not a trouble that passes"
    server.trouble("POST", "/eviction", times=2, code=429)
    with pytest.raises(Refused, match="budget web-budget"):
        web.evict(captured)
    assert len(server.asked("POST", "/eviction")) == 4, "a busy server is asked again"
    server.trouble("POST", "/eviction", times=9, code=429)
    with pytest.raises(Unreachable, match="Kubernetes says not now to pods"):
        web.evict(captured)


# Isolate


def test_an_isolated_pod_is_picked_by_a_policy_that_allows_nothing(cluster: Cluster, db: Kubernetes) -> None:
    before = cluster.get("pods", "shop", "db-0")["metadata"]["labels"]
    captured = db.capture_networks(NODE)
    db.isolate(captured, "m1")
    (policy,) = cluster.there("networkpolicies", "shop")
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {"chaosboard/isolated": "m1"}}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [], "egress": [],
    }  # fmt: skip
    assert policy["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "chaosboard"
    assert cluster.get("pods", "shop", "db-0")["metadata"]["labels"] == {
        **before,
        "chaosboard/isolated": "m1",
    }
    found = db.rejoined(captured, "m1")
    assert found.gone is False
    assert found.text == "still there: the network policy chaosboard-m1 and the label on the pod db-0"
    with pytest.raises(Refused, match="is isolated already, by m1"):
        db.capture_networks(NODE)
    db.rejoin(captured, "another")
    assert len(marked(cluster)) == 2, "only what carries the mark is removed"
    for _ in range(2):
        db.rejoin(captured, "m1")
    assert db.rejoined(captured, "m1").gone is True
    assert marked(cluster) == []
    assert cluster.get("pods", "shop", "db-0")["metadata"]["labels"] == before


def test_the_policy_tells_when_it_ends(cluster: Cluster, db: Kubernetes, state: Path) -> None:
    record = undo.prepare(
        state, "r", "f0", "kill", Kill(), in_target(db), 60
    )  # any one: the end is the record's
    db.isolate(db.capture_networks(NODE), record.id)
    told = cluster.there("networkpolicies", "shop")[0]["metadata"]["annotations"]
    end = datetime.fromisoformat(told["chaosboard/until"]).timestamp()
    assert end == int(record.expires_at)
    assert told["chaosboard/mark"] == record.id


def test_a_policy_that_allows_something_stands_in_the_way(cluster: Cluster, db: Kubernetes) -> None:
    for name, spec in {
        "denies": DENY_ALL, "of-others": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]},
    }.items():  # fmt: skip
        cluster.create("networkpolicies", "shop", {"metadata": {"name": name}, "spec": spec})
    db.capture_networks(NODE)
    picks = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "x"]}]}
    cluster.create(
        "networkpolicies",
        "shop",
        {"metadata": {"name": "allows"}, "spec": {"podSelector": picks, "egress": [{}]}},
    )
    with pytest.raises(Refused, match="The network policy allows allows traffic of the pod db-0"):
        db.capture_networks(NODE)


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        ("In", ["db"], True),
        ("NotIn", ["db"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Odd", [], False),
    ],
)
def test_a_selector_picks_as_the_cluster_does(operator: str, values: list[str], holds: bool) -> None:
    one = {"key": "app", "operator": operator, "values": values}
    assert pods.picks({"matchExpressions": [one]}, {"app": "db"}) is holds
    assert pods.picks({"matchLabels": {"app": "x"}}, {"app": "db"}) is False
    if operator != "Odd":
        pods_there = {"metadata": {"labels": {"app": "db"}}}
        from tests.engine.kubernetes_api import chosen

        assert chosen({"labelSelector": pods._selector({"matchExpressions": [one]})}, pods_there) is holds


def test_a_foreign_policy_of_our_name_is_left_alone(cluster: Cluster, db: Kubernetes) -> None:
    spec = {"podSelector": {"matchLabels": {"x": "y"}}}
    cluster.create("networkpolicies", "shop", {"metadata": {"name": "chaosboard-m1"}, "spec": spec})
    captured = db.capture_networks(NODE)
    with pytest.raises(Refused, match="is there, and is not ours"):
        db.isolate(captured, "m1")
    db.rejoin(captured, "m1")
    assert len(cluster.there("networkpolicies")) == 1


def test_isolating_a_pod_that_was_replaced_hurts_nobody(cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture_networks(NODE)
    cluster.delete("pods", "shop", "db-0", {"gracePeriodSeconds": 0})
    until(lambda: "db-0" in cluster.ready("db"))
    with pytest.raises(Unreachable, match="db-0 is gone, so it was not isolated"):
        db.isolate(captured, "m1")
    db.rejoin(captured, "m1")
    assert marked(cluster) == []


def test_a_policy_whose_answer_was_lost_is_ours(server: Server, cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture_networks(NODE)
    server.trouble("POST", "/networkpolicies", how="drop", after=True)
    server.trouble("PATCH", "/db-0", how="drop", after=True)
    db.isolate(captured, "m1")
    assert len(marked(cluster)) == 2
    db.rejoin(captured, "m1")
    assert marked(cluster) == []


def test_what_cannot_be_read_is_unknown(server: Server, db: Kubernetes, state: Path) -> None:
    record = undo.prepare(state, "r", "f0", "scale", Scale(), in_target(db), 60)
    undo.inject(state, record)
    server.trouble("GET", "/statefulsets", times=99, code=500)
    healed = undo.heal(state, record.id)
    assert healed
    assert healed.state == "unverified"
    server.troubles.clear()
    again = undo.heal(state, record.id)
    assert again
    assert again.state == "clean"


# To the end


def test_a_kill_heals_through_its_record(cluster: Cluster, web: Kubernetes, state: Path) -> None:
    record = undo.inject(state, undo.prepare(state, "r", "f0", "kill", Kill(), in_target(web), 60))
    healed = undo.heal(state, record.id)
    assert healed
    assert healed.state == "clean", healed.text


@pytest.fixture
def kill_when_hurt(state: Path) -> Iterator[Callable[[str, Node, Callable[[], None]], None]]:
    """Injects a fault in a process of its own, which keeps its lease while we look; then kill -9."""

    def hurt(code: str, node: Node, look: Callable[[], None]) -> None:
        script = f"""
import sys, time
from pathlib import Path
from engine import undo, warden
from engine.target import Node
{code}
state = Path({str(state)!r})
state.mkdir(parents=True, exist_ok=True)
warden.ensure(state)
node = Node("one", "127.0.0.1:80", control="kubernetes", control_params={node.control_params!r})
record = undo.inject(state, undo.prepare(state, "r", "f0", kind, fault, node, 600))
print("hurt", flush=True)
while True:
    undo.renew(state, record)
    time.sleep(0.2)
"""
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        try:
            assert child.stdout.readline() == "hurt\n"
            look()
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
            child.stdout.close()

    yield hurt
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            os.kill(process.pid, signal.SIGTERM)
    until(lambda: not warden.watching(state))


def test_the_warden_opens_and_refills_the_machine_when_who_drained_it_is_killed(
    cluster: Cluster,
    db: Kubernetes,
    state: Path,
    kill_when_hurt: Callable[[str, Node, Callable[[], None]], None],
) -> None:
    before = cluster.get("nodes", "", "node-1")

    def look() -> None:
        assert cluster.get("nodes", "", "node-1")["spec"]["unschedulable"] is True
        assert marked(cluster) == ["nodes node-1"]

    drain = "from engine.faults.cordon import Cordon; kind, fault = 'cordon', Cordon(drain=True)"
    kill_when_hurt(drain, in_target(db), look)
    until(lambda: marked(cluster) == [])
    after = cluster.get("nodes", "", "node-1")
    assert after["spec"] == before["spec"]
    assert not after["metadata"]["annotations"]
    assert not after["metadata"]["labels"]
    until(lambda: undo.records(state) == [])
    assert (len(cluster.ready("web")), len(cluster.ready("db"))) == (3, 2)
