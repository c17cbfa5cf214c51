"""A Deployment or StatefulSet at another number of replicas, and back.

The captured number is also on the workload itself, as an annotation, before it is scaled: whoever finds
our mark there can scale it back without our records.
"""

from engine.capabilities import Captured, ReadBack
from engine.drivers import _kubernetes_marks as marks
from engine.drivers import _kubernetes_pods as pods
from engine.drivers._kubernetes_answers import NotThere, Object, Place
from engine.drivers._kubernetes_api import Api
from engine.errors import Refused, Unreachable

REPLICAS = "chaosboard/replicas"  # annotation: how many there were


def capture(api: Api, pod: Object) -> Captured:
    """Its workload and how many replicas it has; raises Refused where it must not be scaled."""
    name = pod["metadata"]["name"]
    found = pods.workload_of(api, pod)
    if not found or found[0].resource not in pods.PLURALS.values():
        raise Refused(f"The pod {name} belongs to no Deployment or StatefulSet that could be scaled.")
    at, owner = found
    if why := pods.ours([*pods.of_workload(api, owner, at.resource), _template(owner)]):
        raise Refused(why)
    marks.refuse_other({"kind": at.resource[:-1], **owner})
    if scaler := _autoscaler(api, at):
        raise Refused(
            f"The autoscaler {scaler} scales {at.name} and would scale it back.", "Take it away first."
        )
    return {"namespace": at.namespace, "workload": [at.resource, at.name], "uid": owner["metadata"]["uid"],
            "replicas": owner["spec"].get("replicas", 1)}  # fmt: skip


def _template(owner: Object) -> Object:
    """What its pods will be, as a pod."""
    labels = (owner["spec"].get("template", {}).get("metadata") or {}).get("labels") or {}
    meta = owner["metadata"]
    return {"metadata": {"name": f"of {meta['name']}", "namespace": meta["namespace"], "labels": labels}}


def _autoscaler(api: Api, at: Place) -> str:
    try:
        there = api.every(Place("horizontalpodautoscalers", at.namespace))
    except (NotThere, Refused):  # a cluster without them, or one that does not show them
        return ""
    for one in there:
        target = one["spec"]["scaleTargetRef"]
        if f"{target['kind'].lower()}s" == at.resource and target["name"] == at.name:
            return str(one["metadata"]["name"])
    return ""


def _at(captured: Captured) -> Place:
    return Place(captured["workload"][0], captured["namespace"], captured["workload"][1])


def scale(api: Api, captured: Captured, mark: str, replicas: int, until: float) -> None:
    """Marks the workload, then scales it; raises Refused where another fault has marked it meanwhile."""
    at = _at(captured)

    def edit(owner: Object) -> Object | None:
        if owner["metadata"]["uid"] != captured["uid"]:
            return None
        marks.refuse_other(owner, mark)
        return {"metadata": marks.put(mark, until, {REPLICAS: str(captured["replicas"])})}

    now = api.change(at, edit)
    if now is None or marks.of(now) != mark:
        raise Unreachable(f"{at} is gone or was made anew, so it was not scaled.")
    _set(api, at, replicas)


def _set(api: Api, at: Place, replicas: int) -> None:
    api.call("PATCH", at, sub="scale", body={"spec": {"replicas": replicas}})


def unscale(api: Api, captured: Captured, mark: str) -> None:
    """Back to the captured number where it carries our mark; the mark goes last."""
    at, now = _at(captured), api.get(_at(captured))
    if now is None or marks.of(now) != mark or now["metadata"]["uid"] != captured["uid"]:
        return
    _set(api, at, captured["replicas"])
    api.change(at, lambda one: _unmarked(one, mark))


def _unmarked(owner: Object, mark: str) -> Object | None:
    return {"metadata": marks.off(REPLICAS)} if marks.of(owner) == mark else None


def unscaled(api: Api, captured: Captured, mark: str) -> ReadBack:
    """Gone when our mark is off it and as many pods are ready as it wants."""
    at, now = _at(captured), api.get(_at(captured))
    kind = at.resource[:-1]
    if now is None:
        return ReadBack(None, f"{kind} {at.name} is gone")
    wanted = now["spec"].get("replicas", 1)
    there = sum(map(pods.ready, pods.of_workload(api, now, at.resource)))  # its status lags behind
    text = f"{kind} {at.name} wants {wanted} replicas and has {there} ready"
    if marks.of(now) == mark:
        return ReadBack(False, f"{text}; it still carries our mark")
    if now["metadata"]["uid"] == captured["uid"] and wanted == captured["replicas"] and there < wanted:
        return ReadBack(False, text)
    return ReadBack(True, text)
