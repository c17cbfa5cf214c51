"""Pods: which one is meant, who keeps it alive, whether it is ready, and which ones are never hurt."""

import os
from collections.abc import Iterable
from pathlib import Path

from engine.drivers._kubernetes_answers import Object, Place
from engine.drivers._kubernetes_api import Api
from engine.errors import Unreachable

PLURALS = {"deployment": "deployments", "statefulset": "statefulsets"}
PROTECTED = ("kube-system", "kube-public", "kube-node-lease")  # they keep the cluster alive
PART_OF = ("app.kubernetes.io/part-of", "chaosboard")  # the label of our own pods
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def place(pod: Object) -> Place:
    return Place("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])


def find(api: Api, namespace: str, pod: str, selector: str, workload: str, index: int) -> Object:
    """The pod that is meant; raises Unreachable where there is none, Refused where it is not clear."""
    if pod:
        found = api.get(Place("pods", namespace, pod))
        if found is None:
            raise Unreachable(f"There is no pod {pod} in namespace {namespace}.", "Is it called so there?")
        return found
    if workload:
        kind, _, name = workload.partition("/")
        owner = api.get(Place(PLURALS[kind], namespace, name))
        if owner is None:
            raise Unreachable(
                f"There is no {kind} {name} in namespace {namespace}.", "Is it called so there?"
            )
        pods, whose = of_workload(api, owner, PLURALS[kind]), workload
    else:
        pods, whose = api.every(Place("pods", namespace), labels=selector), f"the selector {selector}"
    there = sorted((one for one in pods if not ending(one)), key=_order)
    if index >= len(there):
        raise Unreachable(
            f"{whose} has {len(there)} pods in namespace {namespace}, so there is no number {index}.",
            "They are counted from 0.",
        )
    return there[index]


def _order(pod: Object) -> tuple[str, int, str]:
    """The eldest first; those of a StatefulSet, and of the same second, by their number or name."""
    name, meta = pod["metadata"]["name"], pod["metadata"]
    number = name.rpartition("-")[2]
    if (owner := controller(pod)) and owner["kind"] == "StatefulSet" and number.isdecimal():
        return "", int(number), name
    return str(meta.get("creationTimestamp", "")), 0, name


def controller(one: Object) -> Object | None:
    owners = one["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def ending(pod: Object) -> bool:
    finished = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return finished or bool(pod["metadata"].get("deletionTimestamp"))


def ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return not ending(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def workload_of(api: Api, pod: Object) -> tuple[Place, Object] | None:
    """The Deployment, StatefulSet or ReplicaSet that brings a pod back; None for a bare one."""
    namespace, owner = pod["metadata"]["namespace"], controller(pod)
    found: tuple[Place, Object] | None = None
    while owner and (resource := f"{owner['kind'].lower()}s") in ("replicasets", *PLURALS.values()):
        at = Place(resource, namespace, owner["name"])
        one = api.get(at)
        if one is None:
            break
        found, owner = (at, one), controller(one)
    return found


def of_workload(api: Api, owner: Object, resource: str) -> list[Object]:
    """Its pods: those that its selector picks, and that it controls, itself or by its ReplicaSets."""
    namespace, labels = owner["metadata"]["namespace"], _selector(owner["spec"]["selector"])
    uids = {owner["metadata"]["uid"]}
    if resource == "deployments":
        sets = api.every(Place("replicasets", namespace), labels=labels)
        uids |= {one["metadata"]["uid"] for one in sets if (controller(one) or {}).get("uid") in uids}
    pods = api.every(Place("pods", namespace), labels=labels)
    return [pod for pod in pods if (controller(pod) or {}).get("uid") in uids]


def _selector(selector: Object) -> str:
    """A label selector as the API takes it in a query."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        key, values = one["key"], ",".join(one.get("values") or [])
        words = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(words.get(one["operator"], f"!{key}"))
    return ",".join(parts)


def picks(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector picks what carries `labels`."""
    same = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return same and all(_holds(one, labels) for one in selector.get("matchExpressions") or [])


def _holds(one: Object, labels: dict[str, str]) -> bool:
    key, values = one["key"], one.get("values") or []
    return {
        "In": labels.get(key) in values, "NotIn": labels.get(key) not in values, "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }.get(str(one["operator"]), False)  # fmt: skip


def ours(pods: Iterable[Object]) -> str:
    """Why these must not be hurt, where one of them is a part of chaosboard; "" where none is."""
    for pod in pods:
        meta = pod["metadata"]
        labelled = (meta.get("labels") or {}).get(PART_OF[0]) == PART_OF[1]
        if labelled or (_own_namespace() == meta["namespace"] and meta["name"] == os.environ.get("HOSTNAME")):
            return f"The pod {meta['name']} is part of chaosboard itself, which is never hurt."
    return ""


def _own_namespace() -> str:
    """The namespace of the pod in which this code runs; "" outside of a cluster."""
    if "KUBERNETES_SERVICE_HOST" not in os.environ:
        return ""
    try:
        return os.environ.get("POD_NAMESPACE") or ACCOUNT.read_text().strip()
    except OSError:
        return ""


def protected(namespace: str) -> str:
    keeps = f"The namespace {namespace} keeps the cluster alive, so nothing in it is hurt."
    return keeps if namespace in PROTECTED else ""


def refusal(pod: Object) -> str:
    """Why this pod must not be hurt; "" where it may be."""
    name = pod["metadata"]["name"]
    if why := protected(pod["metadata"]["namespace"]) or ours([pod]):
        return why
    if pod["metadata"].get("deletionTimestamp"):
        return f"The pod {name} is being deleted already."
    if not ready(pod):
        return f"The pod {name} is not ready: {unready(pod)}."
    return ""


def unready(pod: Object) -> str:
    status = pod.get("status") or {}
    for one in status.get("containerStatuses") or []:
        if not one.get("ready") and (waiting := (one.get("state") or {}).get("waiting")):
            return f"its container {one['name']} waits, {waiting.get('reason', 'for something')}"
    conditions = status.get("conditions") or []
    told = [str(c.get("message")) for c in conditions if c["status"] != "True" and c.get("message")]
    return told[0].rstrip(".") if told else f"it is {status.get('phase', 'unknown')}"
