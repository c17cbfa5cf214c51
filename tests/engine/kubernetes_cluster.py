"""The objects behind the tests' own Kubernetes API, and the controllers that move them.

This is no Kubernetes: no container runs and no traffic is stopped. A pod is ready a moment after it was
made, gone a moment after it was deleted, and brought back by its workload, so that what a driver of the
API asks for can be seen to happen. A command in a pod is run for real, in a directory of the pod's own.
"""

import copy
import datetime
import re
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]
KINDS = {
    "pods": ("/api/v1", "Pod"), "nodes": ("/api/v1", "Node"),
    "deployments": ("/apis/apps/v1", "Deployment"), "replicasets": ("/apis/apps/v1", "ReplicaSet"),
    "statefulsets": ("/apis/apps/v1", "StatefulSet"), "daemonsets": ("/apis/apps/v1", "DaemonSet"),
    "networkpolicies": ("/apis/networking.k8s.io/v1", "NetworkPolicy"),
    "horizontalpodautoscalers": ("/apis/autoscaling/v2", "HorizontalPodAutoscaler"),
    "poddisruptionbudgets": ("/apis/policy/v1", "PodDisruptionBudget"),
    "podchaos": ("/apis/chaos-mesh.org/v1alpha1", "PodChaos"),
    "networkchaos": ("/apis/chaos-mesh.org/v1alpha1", "NetworkChaos"),
}  # fmt: skip
FINALIZER = "chaos-mesh/records"


class Failure(Exception):
    """What the server answers as a Status object."""

    def __init__(
        self, code: int, reason: str, message: str, causes: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.causes = code, reason, message, causes


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder  # where the directories of the pods are
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.log: list[tuple[int, str, Object | None, Object | None]] = []  # version, resource, before, after
        self.version, self.oldest = 100, 100
        self.lock = threading.RLock()
        self.comes_up = self.goes = 0.05  # seconds until a pod is ready, and until a deleted one is gone
        self.never_ends: set[str] = set()  # names of pods that end only by force
        self.chaos_mesh = True
        self.chaos_injects, self.chaos_recovers = True, True

    # Storage

    def key(self, resource: str, one: Object) -> tuple[str, str, str]:
        return resource, one["metadata"].get("namespace", ""), one["metadata"]["name"]

    def get(self, resource: str, namespace: str, name: str) -> Object:
        with self.lock:
            if (found := self.objects.get((resource, namespace, name))) is None:
                raise Failure(404, "NotFound", f'{resource} "{name}" not found')
            return copy.deepcopy(found)

    def there(self, resource: str, namespace: str = "") -> list[Object]:
        with self.lock:
            every = [
                one for (kind, ns, _), one in sorted(self.objects.items())
                if kind == resource and (not namespace or ns == namespace)
            ]  # fmt: skip
            return copy.deepcopy(every)

    def create(self, resource: str, namespace: str, body: Object) -> Object:
        with self.lock:
            group, kind = KINDS[resource]
            one = {**copy.deepcopy(body), "kind": kind, "apiVersion": re.sub("^/apis?/", "", group)}
            meta = one["metadata"] = {**body["metadata"], **({"namespace": namespace} if namespace else {})}
            if self.key(resource, one) in self.objects:
                raise Failure(409, "AlreadyExists", f'{resource} "{meta["name"]}" already exists')
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
            one.setdefault("status", {})
            if group.endswith("v1alpha1"):
                meta["finalizers"] = [FINALIZER]
            self._store(resource, None, one)
            return copy.deepcopy(one)

    def update(self, resource: str, one: Object) -> Object:
        """Stores a new state; an object whose last finalizer went while it is being deleted goes too."""
        with self.lock:
            before = self.objects.get(self.key(resource, one))
            one = copy.deepcopy(one)
            meta = one["metadata"]
            if resource != "pods" and meta.get("deletionTimestamp") and not meta.get("finalizers"):
                return self.remove(resource, one)
            self._store(resource, before, one)
            return copy.deepcopy(one)

    def _store(self, resource: str, before: Object | None, one: Object) -> None:
        self.version += 1
        one["metadata"]["resourceVersion"] = str(self.version)
        self.objects[self.key(resource, one)] = one
        self.log.append((self.version, resource, before, copy.deepcopy(one)))

    def remove(self, resource: str, one: Object) -> Object:
        with self.lock:
            before = self.objects.pop(self.key(resource, one))
            self.version += 1
            self.log.append((self.version, resource, before, None))
            return one

    def compact(self) -> None:
        """Forgets what has happened: who watches from before must list again."""
        with self.lock:
            self.version += 1
            self.oldest, self.log = self.version, []

    def patch(self, resource: str, namespace: str, name: str, body: Object) -> Object:
        with self.lock:
            one = self.get(resource, namespace, name)
            wanted = body.get("metadata", {}).get("resourceVersion")
            if wanted and wanted != one["metadata"]["resourceVersion"]:
                raise Failure(
                    409, "Conflict", f'Operation cannot be fulfilled on {resource} "{name}": modified'
                )
            return self.update(resource, merged(one, body))

    def delete(self, resource: str, namespace: str, name: str, options: Object) -> Object:
        with self.lock:
            one = self.get(resource, namespace, name)
            wanted = (options.get("preconditions") or {}).get("uid")
            if wanted and wanted != one["metadata"]["uid"]:
                raise Failure(409, "Conflict", f"the UID in the precondition ({wanted}) does not match")
            grace = options.get("gracePeriodSeconds", 30 if resource == "pods" else 0)
            if one["metadata"].get("finalizers") or (resource == "pods" and grace > 0):
                if not one["metadata"].get("deletionTimestamp"):
                    one["metadata"] |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace}
                    self.update(resource, one)
                return one
            return self.remove(resource, one)

    def evict(self, namespace: str, name: str, options: Object) -> None:
        with self.lock:
            pod = self.get("pods", namespace, name)
            for budget in self.there("poddisruptionbudgets", namespace):
                picked = [p for p in self.there("pods", namespace) if picks(budget, p) and is_ready(p)]
                least = budget["spec"]["minAvailable"]
                if picks(budget, pod) and is_ready(pod) and len(picked) <= least:
                    said = (f"The disruption budget {budget['metadata']['name']} needs {least} healthy pods "
                            f"and has {len(picked)} currently")  # fmt: skip
                    raise Failure(
                        429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
                        [{"reason": "DisruptionBudget", "message": said}],
                    )  # fmt: skip
            self.delete("pods", namespace, name, options)

    # Controllers

    def tick(self) -> None:
        with self.lock:
            for resource in ("replicasets", "statefulsets"):
                for owner in self.there(resource):
                    self._keep(resource, owner)
            for pod in self.there("pods"):
                self._move(pod)
            for deployment in self.there("deployments"):
                self._deploy(deployment)
            for resource, (group, _) in KINDS.items():
                if "chaos" in group:
                    for one in self.there(resource):
                        self._chaos(resource, one)

    def _deploy(self, deployment: Object) -> None:
        meta, spec = deployment["metadata"], deployment["spec"]
        name = f"{meta['name']}-5c9d"
        if ("replicasets", meta["namespace"], name) not in self.objects:
            self.create("replicasets", meta["namespace"], {
                "metadata": {"name": name, "labels": spec["template"]["metadata"]["labels"],
                             "ownerReferences": [owned_by(deployment)]},
                "spec": copy.deepcopy(spec),
            })  # fmt: skip
            return
        kept = self.get("replicasets", meta["namespace"], name)
        if kept["spec"]["replicas"] != spec["replicas"]:
            kept["spec"]["replicas"] = spec["replicas"]
            self.update("replicasets", kept)
        if deployment["status"] != kept["status"]:
            self.update("deployments", {**deployment, "status": kept["status"]})

    def _keep(self, resource: str, owner: Object) -> None:
        meta, spec = owner["metadata"], owner["spec"]
        mine = [p for p in self.there("pods", meta["namespace"]) if is_owned(p, owner)]
        living = [p for p in mine if not p["metadata"].get("deletionTimestamp")]
        if resource == "replicasets":
            names: Iterator[str] = (f"{meta['name']}-{uuid.uuid4().hex[:5]}" for _ in range(99))
        else:
            taken = {p["metadata"]["name"] for p in mine}
            names = (n for i in range(spec["replicas"]) if (n := f"{meta['name']}-{i}") not in taken)
        for _ in range(spec["replicas"] - len(living)):
            if name := next(names, ""):
                self.create("pods", meta["namespace"], {
                    "metadata": {"name": name, "labels": dict(spec["template"]["metadata"]["labels"]),
                                 "ownerReferences": [owned_by(owner)]},
                    "spec": {"containers": [{"name": "main"}, {"name": "sidecar"}]},
                })  # fmt: skip
        for pod in living[spec["replicas"] :]:
            self.delete("pods", meta["namespace"], pod["metadata"]["name"], {})
        status = {"readyReplicas": sum(map(is_ready, living))}
        if owner["status"] != status:
            self.update(resource, {**owner, "status": status})

    def _move(self, pod: Object) -> None:
        """What the scheduler and the node's own agent do."""
        meta, status = pod["metadata"], pod["status"]
        if deleted := meta.get("deletionTimestamp"):
            if since(deleted) >= self.goes and meta["name"] not in self.never_ends:
                self.remove("pods", pod)
        elif not pod["spec"].get("nodeName"):
            open_ones = [
                n["metadata"]["name"] for n in self.there("nodes") if not n["spec"].get("unschedulable")
            ]
            if open_ones:
                pod["spec"]["nodeName"] = open_ones[0]
                self.update("pods", pod)
        elif not status and since(meta["creationTimestamp"]) >= self.comes_up:
            self.set_ready(meta["namespace"], meta["name"], True)

    def set_ready(self, namespace: str, name: str, ready: bool) -> None:
        pod = self.get("pods", namespace, name)
        waits = {"ready": ready, "name": "main"} | (
            {} if ready else {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}
        )
        pod["status"] = {"phase": "Running", "containerStatuses": [waits],
                         "conditions": [{"type": "Ready", "status": str(ready)}]}  # fmt: skip
        self.update("pods", pod)

    def _chaos(self, resource: str, one: Object) -> None:
        conditions = {c["type"]: c["status"] for c in one["status"].get("conditions", [])}
        meta = one["metadata"]
        if meta.get("deletionTimestamp"):
            wanted = {**conditions, "AllRecovered": "True"} if self.chaos_recovers else conditions
            if self.chaos_recovers:
                meta["finalizers"] = []
        else:
            wanted = {"AllInjected": str(self.chaos_injects), "AllRecovered": "False"}
        failed = [] if self.chaos_injects and self.chaos_recovers else [
            {"events": [{"type": "Failed", "message": "the daemon on node-1 does not answer"}]}
        ]  # fmt: skip
        told = [{"type": name, "status": status} for name, status in wanted.items()]
        status = {"conditions": told, "experiment": {"containerRecords": failed}}
        if one["status"] != status or not meta["finalizers"]:
            self.update(resource, {**one, "status": status})

    def settle(self) -> None:
        """Lets the controllers do at once all that they have to do."""
        with self.lock:
            usual, self.comes_up = self.comes_up, 0
            before = -1
            while before != self.version:
                before = self.version
                self.tick()
            self.comes_up = usual

    # What a test puts into it

    def add_node(self, name: str) -> None:
        self.create("nodes", "", {"metadata": {"name": name}, "spec": {"taints": []}})

    def add_workload(self, resource: str, name: str, replicas: int, namespace: str = "shop") -> None:
        labels = {"app": name}
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}},
        }
        self.create(resource, namespace, {"metadata": {"name": name, "labels": labels}, "spec": spec})

    def add_pod(self, name: str, namespace: str = "shop", **meta: Any) -> Object:
        """A bare pod, ready at once, on the first node."""
        host = self.there("nodes")[0]["metadata"]["name"]
        spec = {"containers": [{"name": "main", "image": "none"}], "nodeName": host}
        self.create("pods", namespace, {"metadata": {"name": name, **meta}, "spec": spec})
        self.set_ready(namespace, name, True)
        return self.get("pods", namespace, name)

    def ready(self, app: str, namespace: str = "shop") -> list[str]:
        pods = [p for p in self.there("pods", namespace) if p["metadata"].get("labels", {}).get("app") == app]
        return [p["metadata"]["name"] for p in pods if is_ready(p)]


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def now() -> str:
    return datetime.datetime.fromtimestamp(time.time(), datetime.UTC).isoformat()


def since(when: str) -> float:
    return time.time() - datetime.datetime.fromisoformat(when).timestamp()


def owned_by(owner: Object) -> Object:
    meta = owner["metadata"]
    return {"kind": owner["kind"], "name": meta["name"], "uid": meta["uid"], "controller": True}


def is_owned(one: Object, owner: Object) -> bool:
    return any(o["uid"] == owner["metadata"]["uid"] for o in one["metadata"].get("ownerReferences", []))


def picks(one: Object, pod: Object) -> bool:
    return one["spec"]["selector"]["matchLabels"].items() <= pod["metadata"].get("labels", {}).items()


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return not pod["metadata"].get("deletionTimestamp") and {"type": "Ready", "status": "True"} in conditions
