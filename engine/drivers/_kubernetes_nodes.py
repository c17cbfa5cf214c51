"""The eviction of a pod, and the machine of a pod: closed to new pods, emptied, and opened again.

The mark and the change are one patch of the Node, so that there is never the one without the other.
"""

import time

from engine.capabilities import Captured, ReadBack
from engine.drivers import _kubernetes_marks as marks
from engine.drivers import _kubernetes_pods as pods
from engine.drivers import _kubernetes_return as coming_back
from engine.drivers._kubernetes_answers import Conflict, NotThere, Object, Place, TooMany
from engine.drivers._kubernetes_api import Api, lacking
from engine.errors import EngineError, Refused, Unreachable
from engine.text import listed

MIRROR = "kubernetes.io/config.mirror"  # annotation of a pod that the node's own files bring back
AGAIN = 1.0  # seconds before an eviction that a disruption budget forbids is asked for again
EMPTIES = 30.0  # seconds in which a node must be drained


def evict(api: Api, pod: Captured) -> None:
    """Asks for the eviction of {namespace, pod, uid}; raises Refused where a disruption budget forbids it now."""
    meta = {"name": pod["pod"], "namespace": pod["namespace"]}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta,
            "deleteOptions": {"preconditions": {"uid": pod["uid"]}}}  # fmt: skip
    try:
        api.call("POST", Place("pods", pod["namespace"], pod["pod"]), sub="eviction", body=body, budget=True)
    except (NotThere, Conflict) as error:
        now = api.get(Place("pods", pod["namespace"], pod["pod"]))
        if now and now["metadata"]["uid"] == pod["uid"] and not pods.ending(now):
            raise Unreachable(
                f"The pod {pod['pod']} was not evicted: {error.message}", "Try it again."
            ) from None
    except TooMany as error:
        if (why := error.reasons.get("DisruptionBudget")) is None:
            raise
        raise Refused(
            f"Its PodDisruptionBudget does not allow to evict the pod {pod['pod']} now: {why.rstrip('.')}.",
            "Wait until more of its pods are ready, or kill it, which asks nobody.",
        ) from None


def capture(api: Api, pod: Object, drain: bool) -> Captured:
    """The machine as it is, and with `drain` the pods to evict; raises Refused where it must not be."""
    name = pod["spec"].get("nodeName", "")
    host = api.get(Place("nodes", "", name)) if name else None
    if host is None:
        raise Unreachable(f"The pod {pod['metadata']['name']} runs on no node that the cluster knows.")
    marks.refuse_other({"kind": "Node", **host})
    captured: Captured = {"host": name, "uid": host["metadata"]["uid"], "pods": [],
                          "unschedulable": bool(host["spec"].get("unschedulable"))}  # fmt: skip
    return captured | ({"pods": _to_evict(api, name)} if drain else {})


def _to_evict(api: Api, host: str) -> list[Captured]:
    """Those that something brings back elsewhere; not those of daemon sets, of the node itself, or in kube-system."""
    if why := lacking(api, [("list", "pods", ""), ("create", "pods/eviction", "")]):
        raise Refused(f"To drain {host}, {why}.")
    there = api.every(Place("pods"), fields=f"spec.nodeName={host}")
    if why := pods.ours(there):
        raise Refused(f"{why} It runs on {host}.", "Choose another node, or do not drain it.")
    leaving = [pod for pod in there if not pods.ending(pod) and not _stays(pod)]
    bare = [pod["metadata"]["name"] for pod in leaving if not pods.controller(pod)]
    if bare:
        raise Refused(f"Nothing would bring back {listed(bare)}, which run on {host}.", "Do not drain it.")
    return [_leaving(api, pod) for pod in leaving]


def _leaving(api: Api, pod: Object) -> Captured:
    """The pod, with what must be ready again when the machine is open; of some owners nothing is known."""
    try:
        return coming_back.capture(api, pod)
    except Refused:
        return {
            "namespace": pod["metadata"]["namespace"],
            "pod": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        }


def _stays(pod: Object) -> bool:
    meta, owner = pod["metadata"], pods.controller(pod)
    mirrored = MIRROR in (meta.get("annotations") or {})
    return mirrored or bool(pods.protected(meta["namespace"])) or bool(owner and owner["kind"] == "DaemonSet")


def cordon(api: Api, captured: Captured, mark: str, until: float) -> None:
    """Closes the machine, then evicts what was captured; a budget that forbids it is asked again for a while."""

    def edit(host: Object) -> Object | None:
        marks.refuse_other({"kind": "Node", **host}, mark)
        if host["metadata"]["uid"] != captured["uid"]:
            return None
        return {"metadata": marks.put(mark, until), "spec": {"unschedulable": True}}

    now = api.change(Place("nodes", "", captured["host"]), edit)
    if now is None or marks.of(now) != mark:
        raise Unreachable(f"The node {captured['host']} is gone, so it was not closed.")
    end = min(until, time.time() + EMPTIES)
    for pod in captured["pods"]:
        _evict_until(api, pod, end)


def _evict_until(api: Api, pod: Captured, end: float) -> None:
    while True:
        try:
            return evict(api, pod)
        except Refused as error:
            if time.time() + AGAIN > end:
                raise EngineError(
                    f"The node could not be drained in time. {error.message}", error.remedy
                ) from None
        time.sleep(AGAIN)


def uncordon(api: Api, captured: Captured, mark: str) -> None:
    """Takes our mark off, and opens it where it was open before."""

    def edit(host: Object) -> Object | None:
        if marks.of(host) != mark:
            return None
        opened = {} if captured["unschedulable"] else {"spec": {"unschedulable": None}}
        return {"metadata": marks.off(), **opened}

    api.change(Place("nodes", "", captured["host"]), edit)


def uncordoned(api: Api, captured: Captured, mark: str) -> ReadBack:
    host = api.get(Place("nodes", "", captured["host"]))
    if host is None:
        return ReadBack(True, f"the node {captured['host']} is no longer in the cluster")
    closed = bool(host["spec"].get("unschedulable"))
    text = f"the node {captured['host']} is {'closed to new pods' if closed else 'open to new pods'}"
    if marks.of(host) == mark:
        return ReadBack(False, f"{text} and carries our mark")
    if closed and not captured["unschedulable"]:
        text += ", by somebody else"
    return _refilled(api, captured, text)


def _refilled(api: Api, captured: Captured, text: str) -> ReadBack:
    """Whether what was evicted is ready again, here or elsewhere; each Deployment is asked once."""
    evicted = [pod for pod in captured["pods"] if "workload" in pod]
    workloads = {
        (pod["namespace"], *pod["workload"], pod["pod"] if pod["workload"][0] == "statefulsets" else ""): pod
        for pod in evicted
    }
    found = [ReadBack(True, text), *(coming_back.running(api, pod) for pod in workloads.values())]
    missing = [one for one in found if not one.gone]
    if not missing:
        return found[0]
    gone = False if any(one.gone is False for one in missing) else None
    return ReadBack(gone, f"{text}, but {listed([one.text for one in missing])}")
