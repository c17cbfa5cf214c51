"""Isolation of one pod: a NetworkPolicy that allows it nothing, and a label by which it picks the pod.

Nothing in Kubernetes takes a policy back by itself: see the driver. It acts only where the cluster's
network plug-in enforces policies, which no API tells, and some plug-ins leave open connections be.
"""

from engine.capabilities import Captured, ReadBack
from engine.drivers import _kubernetes_marks as marks
from engine.drivers import _kubernetes_pods as pods
from engine.drivers._kubernetes_answers import Conflict, Object, Place
from engine.drivers._kubernetes_api import Api
from engine.errors import Refused, Unreachable
from engine.text import listed

ISOLATED = "chaosboard/isolated"  # the label that we put on the pod: its value is our mark


def capture(api: Api, pod: Object) -> Captured:
    """Which pod; raises Refused where another policy allows it something, which no policy can take away."""
    meta = pod["metadata"]
    pod_labels = meta.get("labels") or {}
    if other := pod_labels.get(ISOLATED):
        raise Refused(f"The pod {meta['name']} is isolated already, by {other}.", "Heal that fault first.")
    allowing = [
        one["metadata"]["name"]
        for one in api.every(Place("networkpolicies", meta["namespace"]))
        if pods.picks(one["spec"].get("podSelector") or {}, pod_labels) and _allows(one["spec"])
    ]
    if allowing:
        raise Refused(
            f"The network policy {listed(allowing)} allows traffic of the pod {meta['name']}, and policies add up: "
            "one that denies would take nothing away.",
            "Isolate it by a Chaos Mesh NetworkChaos instead.",
        )
    return {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"]}


def _allows(spec: Object) -> bool:
    return bool(spec.get("ingress") or spec.get("egress"))


def isolate(api: Api, captured: Captured, mark: str) -> None:
    """The policy first: it picks nothing until the pod carries the label."""
    try:
        api.call("POST", Place("networkpolicies", captured["namespace"]), body=_policy(captured, mark))
    except Conflict:
        if not _policies(api, captured, mark):
            name = _name(mark)
            raise Refused(f"A network policy {name} is there, and is not ours.", "Remove it first.") from None

    def edit(pod: Object) -> Object | None:
        same = pod["metadata"]["uid"] == captured["uid"]
        return {"metadata": {"labels": {ISOLATED: mark}}} if same else None

    now = api.change(Place("pods", captured["namespace"], captured["pod"]), edit)
    if now is None or (now["metadata"].get("labels") or {}).get(ISOLATED) != mark:
        raise Unreachable(f"The pod {captured['pod']} is gone, so it was not isolated.")


def _name(mark: str) -> str:
    return f"chaosboard-{mark}"


def _policy(captured: Captured, mark: str) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": _name(mark), "namespace": captured["namespace"], "labels": marks.labels(mark),
                     "annotations": marks.annotations(mark, marks.end_of(mark))},
        "spec": {"podSelector": {"matchLabels": {ISOLATED: mark}}, "policyTypes": ["Ingress", "Egress"],
                 "ingress": [], "egress": []},
    }  # fmt: skip


def rejoin(api: Api, captured: Captured, mark: str) -> None:
    """Removes the policies and the labels that carry `mark`, on whatever pods they are by now."""
    for policy in _policies(api, captured, mark):
        at = Place("networkpolicies", captured["namespace"], policy["metadata"]["name"])
        api.delete(at, policy["metadata"]["uid"])
    for pod in _labelled(api, captured, mark):
        api.change(pods.place(pod), lambda now: _unlabelled(now, mark))


def _unlabelled(pod: Object, mark: str) -> Object | None:
    there = (pod["metadata"].get("labels") or {}).get(ISOLATED) == mark
    return {"metadata": {"labels": {ISOLATED: None}}} if there else None


def rejoined(api: Api, captured: Captured, mark: str) -> ReadBack:
    left = [f"the network policy {one['metadata']['name']}" for one in _policies(api, captured, mark)]
    left += [f"the label on the pod {one['metadata']['name']}" for one in _labelled(api, captured, mark)]
    if left:
        return ReadBack(False, f"still there: {listed(left)}")
    return ReadBack(True, f"no network policy and no label of ours is on the pod {captured['pod']}")


def _policies(api: Api, captured: Captured, mark: str) -> list[Object]:
    wanted = ",".join(f"{key}={value}" for key, value in marks.labels(mark).items())
    return api.every(Place("networkpolicies", captured["namespace"]), labels=wanted)


def _labelled(api: Api, captured: Captured, mark: str) -> list[Object]:
    return api.every(Place("pods", captured["namespace"]), labels=f"{ISOLATED}={mark}")
