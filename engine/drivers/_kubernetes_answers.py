"""Where an object of a cluster is, and what an API server that does not do as asked means, in words."""

import json
from dataclasses import dataclass
from typing import Any

from engine.errors import EngineError, Refused, Unreachable

Object = dict[str, Any]  # as the API shows it
PAUSE, LONGEST = 0.2, 5.0  # seconds before the second try, doubled each time; the longest that is waited
GROUPS = {
    "pods": "/api/v1", "nodes": "/api/v1", "deployments": "/apis/apps/v1", "replicasets": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1", "daemonsets": "/apis/apps/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
    "selfsubjectaccessreviews": "/apis/authorization.k8s.io/v1",
}  # fmt: skip
CHAOS_MESH = "/apis/chaos-mesh.org/v1alpha1"  # the group of every resource that is not named above


@dataclass(frozen=True)
class Place:
    """Where an object is: `pods` `web-1` in namespace `shop`; without a name, all of them."""

    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def path(self) -> str:
        inside = f"/namespaces/{self.namespace}" if self.namespace else ""
        base = f"{GROUPS.get(self.resource, CHAOS_MESH)}{inside}/{self.resource}"
        return f"{base}/{self.name}" if self.name else base

    def __str__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"{self.resource}{name}" + (f" in namespace {self.namespace}" if self.namespace else "")


class NotThere(EngineError):
    """404: there is no such object."""


class Conflict(EngineError):
    """409: it exists already, or is another one than the one that was meant."""


class Gone(EngineError):
    """410: what was read is too old to go on from."""


class TooMany(Unreachable):
    """429: not now. `reasons` are the causes that the server told: {"DisruptionBudget": "The budget …"}."""

    def __init__(self, message: str, remedy: str, reasons: dict[str, str]) -> None:
        super().__init__(message, remedy)
        self.reasons = reasons


def status(error: Exception) -> int:
    return int(getattr(error, "status", 0) or 0)


def _answer(error: Exception) -> Object:
    """The Status object that came with the error; a server tells no more of some."""
    try:
        found = json.loads(getattr(error, "body", None) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def pause(error: Exception, before: int) -> float:
    asked = (getattr(error, "headers", None) or {}).get("Retry-After", "")
    return min(float(asked) if str(asked).isdecimal() else PAUSE * 2**before, LONGEST)


def in_words(error: Exception, host: str, method: str, place: Place, sub: str) -> EngineError:
    """The error in words."""
    from kubernetes.client import ApiException  # type: ignore[import-untyped]  # it has no types
    from urllib3.exceptions import HTTPError

    code, answer = status(error), _answer(error)
    if isinstance(error, HTTPError | ValueError | OSError) or (isinstance(error, ApiException) and not code):
        reason = str(getattr(error, "reason", "") or error).strip().splitlines()[-1]
        return Unreachable(
            f"The Kubernetes API at {host} did not answer: {reason}.", "Is it up and reachable?"
        )
    if not isinstance(error, ApiException):
        raise error
    said = str(answer.get("message") or getattr(error, "reason", "") or "").rstrip(".")
    thing = f"{place.resource}/{sub}" if sub else place.resource
    if code == 401:
        return Unreachable(f"The Kubernetes API at {host} does not accept the credentials.", "Renew them.")
    if code == 403:
        verb = {"GET": "get" if place.name else "list", "POST": "create", "PUT": "update"}.get(
            method, method.lower()
        )
        return Refused(
            f"The credentials may not {verb} {thing}"
            + (f" in namespace {place.namespace}: " if place.namespace else ": ") + f"{said}.",
            "Grant it by a Role or ClusterRole.",
        )  # fmt: skip
    if code == 429:
        causes = (answer.get("details") or {}).get("causes") or []
        reasons = {str(one.get("reason")): str(one.get("message")) for one in causes}
        return TooMany(f"Kubernetes says not now to {place}: {said}.", "Try it later.", reasons)
    if code >= 500:
        return Unreachable(
            f"The Kubernetes API at {host} failed ({code}) on {place}: {said}.", "Try it later."
        )
    known = {404: NotThere, 409: Conflict, 410: Gone, 400: Refused, 422: Refused}
    return known.get(code, EngineError)(f"Kubernetes answered {code} on {place}: {said}.")
