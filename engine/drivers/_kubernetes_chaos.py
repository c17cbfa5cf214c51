"""Chaos Mesh: one of its resources on exactly one pod, with its own end as a lease in the fault itself.

Its `duration` is set to what is left of the lease, so Chaos Mesh takes the harm back even where nobody
of ours lives any more; deleting the resource takes it back at once, behind a finalizer.
"""

import time
from collections.abc import Mapping
from typing import Any

from engine.capabilities import Captured, ReadBack
from engine.drivers import _kubernetes_marks as marks
from engine.drivers._kubernetes_answers import CHAOS_MESH, Conflict, NotThere, Object, Place
from engine.drivers._kubernetes_api import Api, lacking
from engine.errors import EngineError, Refused
from engine.text import listed

BEGINS = 15.0  # seconds for Chaos Mesh to say that it has injected


def missing(api: Api, kind: str = "") -> str:
    """Why Chaos Mesh is of no use in this cluster, for `kind`; "" where it is."""
    try:
        there = api.call("GET", _Group("", ""))
    except NotThere:
        return "Chaos Mesh is not installed in this cluster (it has no chaos-mesh.org/v1alpha1)"
    kinds = {str(one.get("kind")) for one in there.get("resources") or []}
    return f"the Chaos Mesh of this cluster has no {kind}" if kind and kind not in kinds else ""


class _Group(Place):
    """The group itself: its answer lists what is installed of it."""

    @property
    def path(self) -> str:
        return CHAOS_MESH

    def __str__(self) -> str:
        return "chaos-mesh.org/v1alpha1"


def capture(api: Api, pod: Object, resource: Mapping[str, Any]) -> Captured:
    """The resource as it will be, on that pod alone; `resource` is {kind, spec} and labels of its own."""
    kind, meta = str(resource["kind"]), pod["metadata"]
    if why := missing(api, kind):
        raise Refused(f"{why[0].upper()}{why[1:]}.", "Install Chaos Mesh, or choose another fault.")
    verbs = ("create", "get", "list", "watch", "delete")
    if why := lacking(api, [(verb, kind.lower(), meta["namespace"]) for verb in verbs]):
        raise Refused(f"{why[0].upper()}{why[1:]}.")
    spec = {
        **resource.get("spec", {}),
        "mode": "one",
        "selector": {"pods": {meta["namespace"]: [meta["name"]]}},
    }
    told = resource.get("metadata") or {}
    own = {key: dict(told[key]) for key in ("labels", "annotations") if told.get(key)}
    return {"namespace": meta["namespace"], "pod": meta["name"], "kind": kind, "spec": spec, "metadata": own}


def _place(captured: Captured, mark: str = "") -> Place:
    """Its name follows from the mark, so that a second try makes no second one."""
    return Place(captured["kind"].lower(), captured["namespace"], f"chaosboard-{mark}" if mark else "")


def apply(api: Api, captured: Captured, mark: str, until: float) -> None:
    """Creates it, and waits until Chaos Mesh has injected it; raises EngineError where that fails."""
    left = until - time.time()
    if left < 1:
        raise Refused("Less than a second is left of the fault, which Chaos Mesh cannot measure.")
    given = captured["metadata"]
    body = {
        "apiVersion": "chaos-mesh.org/v1alpha1", "kind": captured["kind"],
        "metadata": {
            "name": _place(captured, mark).name, "namespace": captured["namespace"],
            "labels": {**given.get("labels", {}), **marks.labels(mark)},
            "annotations": {**given.get("annotations", {}), **marks.annotations(mark, until)},
        },
        "spec": {**captured["spec"], "duration": f"{int(left)}s"},
    }  # fmt: skip
    try:
        api.call("POST", _place(captured), body=body)
    except Conflict:
        there = api.get(_place(captured, mark))
        if there and not _ours(there, mark):
            raise Refused(f"A {captured['kind']} of this name is there, and is not ours.") from None
    if not api.wait(_place(captured, mark), lambda now: any(map(_injected, now)), min(BEGINS, left)):
        why = _why(api.get(_place(captured, mark)) or {})
        raise EngineError(f"Chaos Mesh did not inject the {captured['kind']} in time{why}.")


def _ours(one: Object, mark: str) -> bool:
    there = one["metadata"].get("labels") or {}
    return all(there.get(key) == value for key, value in marks.labels(mark).items())


def _injected(one: Object) -> bool:
    return _condition(one, "AllInjected")


def _condition(one: Object, name: str) -> bool:
    conditions = (one.get("status") or {}).get("conditions") or []
    return any(c["type"] == name and c["status"] == "True" for c in conditions)


def _why(one: Object) -> str:
    """What it told of its last failure, as the end of a sentence."""
    records = ((one.get("status") or {}).get("experiment") or {}).get("containerRecords") or []
    told = [str(event["message"]) for record in records for event in record.get("events") or []
            if event.get("type") == "Failed" and event.get("message")]  # fmt: skip
    return f": {told[-1].rstrip('.')}" if told else ""


def withdraw(api: Api, captured: Captured, mark: str) -> None:
    """Deletes it where it carries our mark; Chaos Mesh then recovers the pod and lets it go."""
    at = _place(captured, mark)
    one = api.get(at)
    if one and _ours(one, mark) and not one["metadata"].get("deletionTimestamp"):
        api.delete(at, one["metadata"]["uid"])


def withdrawn(api: Api, captured: Captured, mark: str) -> ReadBack:
    at = _place(captured, mark)
    one = api.get(at)
    what = f"{captured['kind']} {at.name}"
    if one is None or not _ours(one, mark):
        return ReadBack(True, f"{what} is no longer in the cluster")
    recovered = (
        "Chaos Mesh says that all is recovered" if _condition(one, "AllRecovered") else "not all is recovered"
    )
    finalizers = one["metadata"].get("finalizers") or []
    if finalizers and one["metadata"].get("deletionTimestamp"):
        return ReadBack(
            False, f"{what} is stuck on its finalizer {listed(finalizers)}: {recovered}{_why(one)}"
        )
    return ReadBack(False, f"{what} is still there: {recovered}{_why(one)}")
