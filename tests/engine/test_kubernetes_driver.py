"""The kubernetes driver and its faults, on the tests' own API server: never on a cluster."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import drivers, undo, warden
from engine.drivers import _kubernetes_answers as answers
from engine.drivers import _kubernetes_chaos as chaos
from engine.drivers import _kubernetes_nodes as nodes
from engine.drivers import _kubernetes_pods as pods
from engine.drivers import _kubernetes_return as coming_back
from engine.drivers import kubernetes
from engine.drivers.kubernetes import Kubernetes
from engine.errors import BadInput, EngineError, Refused, Unreachable
from engine.faults.chaos_mesh import ChaosMesh
from engine.faults.cordon import Cordon
from engine.faults.evict import Evict
from engine.faults.exec import Exec
from engine.faults.kill import Kill
from engine.faults.rolling_restart import RollingRestart
from engine.faults.scale import Scale
from engine.parameters import build
from engine.target import Node
from tests.engine.kubernetes_api import Server, serving
from tests.engine.kubernetes_cluster import FINALIZER, Cluster
from tests.waiting import until

NODE = Node("one", "127.0.0.1:80")
DENY_ALL = {"podSelector": {}, "policyTypes": ["Ingress"]}


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


# Which pod


def test_a_pod_is_found_by_name_selector_and_workload(cluster: Cluster, params: dict[str, Any]) -> None:
    ways = [{"pod": "db-1"}, {"selector": "app=db", "index": 1}, {"workload": "statefulset/db", "index": 1}]
    found = [Kubernetes(**params, **way).victim(NODE) for way in ways]  # type: ignore[arg-type]
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
    url = f"http://127.0.0.1:{free_port()}"
    away = Kubernetes(**{**params, "kubeconfig": server.kubeconfig(tmp_path / "away", url)}, pod="db-0")
    assert f"The Kubernetes API at {url} did not answer" in away.refusal(NODE)
    assert "did not answer" in away.cannot(drivers.Kill)
    assert "did not answer" in away.cannot(drivers.Apply)
    assert "No Kubernetes cluster is configured" in Kubernetes(kubeconfig="/no/such/file", pod="x").cannot(
        drivers.Kill
    )


def free_port() -> int:
    from chaosboard import ports

    return ports.choose(1)[0]


@pytest.mark.parametrize(
    ("capability", "denied"),
    [
        (drivers.Kill, ("delete", "pods")), (drivers.Restart, ("watch", "pods")),
        (drivers.Evict, ("create", "pods/eviction")), (drivers.Isolate, ("create", "networkpolicies")),
        (drivers.Scale, ("patch", "deployments/scale")), (drivers.Cordon, ("patch", "nodes")),
        (drivers.Exec, ("create", "pods/exec")),
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
    node = Node("one", "127.0.0.1:80", control="kubernetes", control_params=drivers_params(web))
    assert f"one: the credentials may not {denied[0]} {denied[1]}" in drivers.lacks(node, capability)


def drivers_params(driver: Kubernetes) -> dict[str, Any]:
    from engine.parameters import dump

    return dump(driver)


def test_what_it_may_is_asked_once_for_a_page(
    server: Server, web: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "REMEMBERS", 60.0)
    for _ in range(3):
        assert web.cannot(drivers.Cordon) == ""
    assert len(server.asked("POST", "selfsubjectaccessreviews")) == 2


# Kill, restart, evict


def test_a_killed_pod_of_a_deployment_is_replaced(server: Server, cluster: Cluster, web: Kubernetes) -> None:
    captured = web.capture(NODE)
    assert json.loads(json.dumps(captured)) == captured
    cluster.comes_up = 0.3
    web.signal(captured, "KILL")
    assert captured["pod"] not in cluster.ready("web")
    found = web.running(NODE, captured)
    assert (found.gone, found.text[:31]) == (False, "2 of 3 pods of web are ready: w")
    web.start(NODE, captured)
    until(lambda: web.running(NODE, captured).gone)
    (said,) = server.asked("DELETE", captured["pod"])
    assert said.body["gracePeriodSeconds"] == 0
    assert said.body["preconditions"] == {"uid": captured["uid"]}


def test_term_leaves_the_pod_its_own_grace(server: Server, cluster: Cluster, db: Kubernetes) -> None:
    captured = db.capture(NODE)
    db.signal(captured, "TERM")
    assert "gracePeriodSeconds" not in server.asked("DELETE", "db-0")[0].body
    assert db.running(NODE, captured).gone is False
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


def budget(cluster: Cluster, app: str, least: int) -> None:
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": app}}}
    cluster.create("poddisruptionbudgets", "shop", {"metadata": {"name": f"{app}-budget"}, "spec": spec})


def test_an_evicted_pod_is_replaced(server: Server, cluster: Cluster, web: Kubernetes) -> None:
    budget(cluster, "web", 2)
    fault = Evict()
    captured = fault.capture(web, NODE)
    fault.inject(web, NODE, captured, "m", time.time() + 9)
    assert fault.read_back(web, NODE, captured, "m").gone is False
    for _ in range(2):
        fault.heal(web, NODE, captured, "m")
    until(lambda: fault.read_back(web, NODE, captured, "m").gone)
    body = server.asked("POST", "/eviction")[0].body
    assert (body["apiVersion"], body["kind"]) == ("policy/v1", "Eviction")
    assert body["deleteOptions"] == {"preconditions": {"uid": captured["uid"]}}
    web.evict(captured)  # it is gone already


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
    record = undo.prepare(state, "r", "f0", "scale", Scale(), kube_node(db), 60)
    undo.inject(state, record)
    server.trouble("GET", "/statefulsets", times=99, code=500)
    healed = undo.heal(state, record.id)
    assert healed
    assert healed.state == "unverified"
    server.troubles.clear()
    again = undo.heal(state, record.id)
    assert again
    assert again.state == "clean"


def kube_node(driver: Kubernetes) -> Node:
    return Node("one", "127.0.0.1:80", control="kubernetes", control_params=drivers_params(driver))


# Scale


def test_a_workload_is_scaled_and_scaled_back(server: Server, cluster: Cluster, web: Kubernetes) -> None:
    fault = Scale(replicas=1)
    before = cluster.get("deployments", "shop", "web")["metadata"].get("annotations")
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
    assert (after.get("annotations") or None) == before
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
    db.unscale(captured, "m1")
    assert db.unscaled(captured, "m1").gone is False, "scaled back, and not ready yet"
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
    record = undo.prepare(state, "r", "f0", "cordon", Cordon(drain=True), kube_node(db), 60)
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
    record = undo.inject(state, undo.prepare(state, "r", "f0", "exec", fault, kube_node(db), 60))
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
    with pytest.raises(Refused, match="may not create pods/exec in namespace shop"):
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
    record = undo.prepare(state, "r", "f0", "chaos-mesh", ChaosMesh(resource=DELAY), kube_node(db), 60)
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
    assert "not installed" in db.cannot(drivers.Apply)
    with pytest.raises(Refused, match="Chaos Mesh is not installed in this cluster"):
        db.capture_resource(NODE, DELAY)


def test_a_foreign_chaos_of_our_name_is_left_alone(cluster: Cluster, db: Kubernetes) -> None:
    cluster.create("networkchaos", "shop", {"metadata": {"name": "chaosboard-m1"}, "spec": {}})
    captured = db.capture_resource(NODE, DELAY)
    with pytest.raises(Refused, match="is there, and is not ours"):
        db.apply(captured, "m1", time.time() + 60)
    db.withdraw(captured, "m1")
    assert len(cluster.there("networkchaos")) == 1
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


# To the end


def test_a_kill_heals_through_its_record(cluster: Cluster, web: Kubernetes, state: Path) -> None:
    record = undo.inject(state, undo.prepare(state, "r", "f0", "kill", Kill(), kube_node(web), 60))
    healed = undo.heal(state, record.id)
    assert healed
    assert healed.state == "clean", healed.text


@pytest.fixture
def kill_when_hurt(state: Path) -> Iterator[Callable[[str, Node], None]]:
    """Injects a fault in a process of its own, which keeps its lease; then kill -9."""

    def hurt(code: str, node: Node) -> None:
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
        assert child.stdout.readline() == "hurt\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()

    yield hurt
    for process in psutil.process_iter(["cmdline"]):
        if {"warden", str(state)} <= set(process.info["cmdline"] or []):
            os.kill(process.pid, signal.SIGTERM)
    until(lambda: not warden.watching(state))


def test_the_warden_opens_and_refills_the_machine_when_who_drained_it_is_killed(
    cluster: Cluster, db: Kubernetes, state: Path, kill_when_hurt: Callable[[str, Node], None]
) -> None:
    before = cluster.get("nodes", "", "node-1")
    kill_when_hurt(
        "from engine.faults.cordon import Cordon; kind, fault = 'cordon', Cordon(drain=True)", kube_node(db)
    )
    assert cluster.get("nodes", "", "node-1")["spec"]["unschedulable"] is True
    assert marked(cluster) == ["nodes node-1"]
    until(lambda: marked(cluster) == [], undo.LEASE + 5)
    after = cluster.get("nodes", "", "node-1")
    assert after["spec"] == before["spec"]
    assert not after["metadata"].get("annotations")
    until(lambda: undo.records(state) == [])
    until(lambda: len(cluster.ready("web")) == 3 and len(cluster.ready("db")) == 2)
