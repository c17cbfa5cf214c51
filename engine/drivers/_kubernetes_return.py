"""The end of a pod and what comes after it: who brings it back, and whether one that replaces it is ready."""

import math

from engine.capabilities import Captured, ReadBack
from engine.drivers import _kubernetes_pods as pods
from engine.drivers._kubernetes_answers import Conflict, Object, Place
from engine.drivers._kubernetes_api import Api
from engine.errors import EngineError, Refused, Unreachable
from engine.text import listed

ENDS = 5.0  # seconds beyond its grace for a deleted pod to be gone
SERVERS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink",
           "deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences")  # fmt: skip  # of metadata


def capture(api: Api, pod: Object) -> Captured:
    """What brings it back: its workload with the replicas and ready pods of now, or its own manifest."""
    meta = pod["metadata"]
    captured: Captured = {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"]}
    if kept := pods.workload_of(api, pod):
        at, owner = kept
        count = sum(map(pods.ready, pods.of_workload(api, owner, at.resource)))
        return captured | {"workload": [at.resource, at.name], "uid_of_workload": owner["metadata"]["uid"],
                           "replicas": owner["spec"].get("replicas", 1), "ready": count}  # fmt: skip
    if other := pods.controller(pod):
        raise Refused(f"The pod {meta['name']} belongs to {other['kind']} {other['name']}, of which chaosboard "
                      "does not know how it comes back.")  # fmt: skip
    return captured | {"manifest": manifest(pod)}


def manifest(pod: Object) -> Object:
    """A bare pod as it can be created again: without what the server and the scheduler wrote into it."""
    meta = {key: value for key, value in pod["metadata"].items() if key not in SERVERS}
    spec = {k: value for k, value in pod["spec"].items() if k not in ("nodeName", "ephemeralContainers")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def end(api: Api, captured: Captured, signal: str) -> None:
    """Deletes the pod: at once for KILL, with its own grace period for TERM.

    At once means that the API forgets it while its machine may still be ending it: for that moment a
    StatefulSet can have two pods of one name.
    """
    if signal not in ("KILL", "TERM"):
        raise Refused(f"Kubernetes ends a pod by KILL or TERM, not by {signal}.")
    api.delete(_at(captured), captured["uid"], 0 if signal == "KILL" else None)


def stop(api: Api, captured: Captured, grace: float) -> None:
    """Deletes the pod in good order, by force where it is there `grace` seconds later; waits until then."""
    api.delete(_at(captured), captured["uid"], max(1, math.ceil(grace)))
    if not _away(api, captured, grace + ENDS):
        api.delete(_at(captured), captured["uid"], 0)
        if not _away(api, captured, ENDS):
            raise EngineError(f"The pod {captured['pod']} did not go, though it was deleted by force.")


def _at(captured: Captured) -> Place:
    return Place("pods", captured["namespace"], captured["pod"])


def _away(api: Api, captured: Captured, seconds: float) -> bool:
    uid = captured["uid"]
    return api.wait(_at(captured), lambda now: all(p["metadata"]["uid"] != uid for p in now), seconds)


def start(api: Api, captured: Captured) -> None:
    """Makes sure that it comes back: replicas not fewer than captured; a bare pod is created again."""
    if "workload" in captured:
        _keep_replicas(api, captured)
        return
    now = api.get(_at(captured))
    if now and now["metadata"]["uid"] == captured["uid"] and pods.ending(now):
        api.delete(_at(captured), captured["uid"], 0)  # its end was ours, and its time is over
        if not _away(api, captured, ENDS):
            raise EngineError(
                f"The pod {captured['pod']} is still ending, so it cannot be created again yet."
            )
        now = None
    if now is None:
        try:
            api.call("POST", Place("pods", captured["namespace"]), body=captured["manifest"])
        except Conflict as error:
            if api.get(_at(captured)) is None:
                raise Unreachable(str(error)) from None


def _keep_replicas(api: Api, captured: Captured) -> None:
    at, wanted = (
        Place(captured["workload"][0], captured["namespace"], captured["workload"][1]),
        captured["replicas"],
    )

    def edit(owner: Object) -> Object | None:
        same = owner["metadata"]["uid"] == captured["uid_of_workload"]
        return {"spec": {"replicas": wanted}} if same and owner["spec"].get("replicas", 1) < wanted else None

    api.change(at, edit)


def running(api: Api, captured: Captured) -> ReadBack:
    """Whether it, or one that replaces it, is ready; for a Deployment: as many ready pods as before."""
    name, namespace = captured["pod"], captured["namespace"]
    if "workload" not in captured or captured["workload"][0] == "statefulsets":
        now = api.get(_at(captured))
        if now is None:
            return ReadBack(False, f"the pod {name} is not there")
        return ReadBack(
            pods.ready(now),
            f"the pod {name} is {'ready' if pods.ready(now) else 'not ready: ' + pods.unready(now)}",
        )
    resource, workload = captured["workload"]
    owner = api.get(Place(resource, namespace, workload))
    if owner is None:
        return ReadBack(None, f"{resource[:-1]} {workload} is gone, so nothing brings its pods back")
    there = sorted(p["metadata"]["name"] for p in pods.of_workload(api, owner, resource) if pods.ready(p))
    text = f"{len(there)} of {captured['ready']} pods of {workload} are ready"
    return ReadBack(len(there) >= captured["ready"], text + (f": {listed(there)}" if there else ""))
