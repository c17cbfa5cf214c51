"""One connection to a Kubernetes API server: calls that end in time, are tried again, and fail in words.

An object is a plain mapping, as the API shows it. Nothing waits for ever: a call has CONNECT and READ
seconds; what broke or was answered with 429 or 5xx is tried TRIES times, as late as Retry-After asks.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from engine.drivers._kubernetes_answers import (
    CHAOS_MESH,
    GROUPS,
    Conflict,
    Gone,
    NotThere,
    Object,
    Place,
    TooMany,
    in_words,
    pause,
    status,
)  # fmt: skip
from engine.drivers._kubernetes_client import connect
from engine.errors import Unreachable
from engine.text import listed

CONNECT, READ = 3.0, 10.0  # seconds to connect, and for an answer
QUICK = (1.0, 3.0)  # the same where somebody waits
TRIES = 4  # calls of one request, altogether
ENOUGH = 15.0  # seconds after which no further try begins
CHANGES = 6  # times that an object is read again because somebody else changed it
AGAIN = 0.02  # seconds before a watch that the server ended goes on
PAGE = 500  # objects in one answer to a list


class Api:
    """`kubeconfig` and `context` as in the driver; both "" means: in-cluster, then ~/.kube/config.

    `quick` is for where somebody waits for a page: a cluster that does not answer is soon given up.
    """

    def __init__(self, kubeconfig: str = "", context: str = "", *, quick: bool = False) -> None:
        self._client = connect(kubeconfig, context)
        self._timeouts, self._tries = (QUICK, 2) if quick else ((CONNECT, READ), TRIES)
        self.host = str(self._client.configuration.host).rstrip("/")

    def call(
        self, method: str, place: Place, *, sub: str = "", body: Any = None, query: dict[str, Any] | None = None,
        budget: bool = False,
    ) -> Object:  # fmt: skip
        """The answer. `budget`: a 429 for a disruption budget is final.

        Raises NotThere, Conflict, Gone, TooMany, Refused (403, 422) or Unreachable.
        """
        path = place.path + (f"/{sub}" if sub else "")
        began = time.monotonic()
        for left in reversed(range(self._tries)):
            try:
                answer = self.send(method, path, body, query or {}, self._timeouts)
                return dict(json.loads(answer.data))
            except Exception as error:
                told = in_words(error, self.host, method, place, sub)
                final = budget and isinstance(told, TooMany) and "DisruptionBudget" in told.reasons
                late = time.monotonic() - began > ENOUGH
                if not left or late or final or not isinstance(told, Unreachable) or status(error) == 401:
                    raise told from None
                time.sleep(pause(error, self._tries - 1 - left))
        raise AssertionError

    def send(self, method: str, path: str, body: Any, query: dict[str, Any], timeout: Any, **how: Any) -> Any:
        """The library's answer, as it came; raises whatever the library raises."""
        kind = "merge-patch+json" if method == "PATCH" else "json"
        return self._client.request(
            method, self.host + path, query_params=list(query.items()), body=body, _request_timeout=timeout,
            headers={"Accept": "application/json", "Content-Type": f"application/{kind}", **self.credentials()},
            **how,
        )  # fmt: skip

    def credentials(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        return headers

    @property
    def configuration(self) -> Any:
        return self._client.configuration

    def get(self, place: Place) -> Object | None:
        try:
            return self.call("GET", place)
        except NotThere:
            return None

    def every(self, place: Place, labels: str = "", fields: str = "") -> list[Object]:
        return self.every_at(place, labels, fields)[0]

    def every_at(self, place: Place, labels: str = "", fields: str = "") -> tuple[list[Object], str]:
        """All of them, page by page, and the resource version from which a watch goes on."""
        query = {"labelSelector": labels, "fieldSelector": fields, "limit": PAGE}
        query = {key: value for key, value in query.items() if value}
        for _ in range(CHANGES):
            with contextlib.suppress(Gone):  # the pages grew too old while they were read: once more
                return self._pages(place, query)
        raise Unreachable(f"The list of {place} grew too old again and again while it was read.")

    def _pages(self, place: Place, query: dict[str, Any]) -> tuple[list[Object], str]:
        found: list[Object] = []
        token = ""
        while True:
            answer = self.call("GET", place, query={**query, **({"continue": token} if token else {})})
            found += answer.get("items") or []
            token = answer["metadata"].get("continue") or ""
            if not token:
                return found, str(answer["metadata"].get("resourceVersion", ""))

    def change(self, place: Place, edit: Callable[[Object], Object | None]) -> Object | None:
        """Patches it by what `edit` makes of it as it is now (None: nothing), again where it changed meanwhile.

        A merge patch that only holds for the version that was read. None where there is no such object.
        """
        for _ in range(CHANGES):
            now = self.get(place)
            patch = edit(now) if now else None
            if now is None or patch is None:
                return now
            version = now["metadata"]["resourceVersion"]
            patch = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version}}
            with contextlib.suppress(Conflict, NotThere):
                return self.call("PATCH", place, body=patch)
        raise Unreachable(f"{place} changed again and again while it was to be patched.", "Try it again.")

    def delete(self, place: Place, uid: str, grace: int | None = None) -> None:
        """Deletes that one object; whatever else carries its name by now stays. Idempotent."""
        body: Object = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        with contextlib.suppress(NotThere, Conflict):
            self.call("DELETE", place, body=body)

    def wait(
        self, place: Place, done: Callable[[list[Object]], bool], seconds: float, labels: str = ""
    ) -> bool:
        """Whether `done` of all objects at `place` (with a name: that one) comes true in time; by a watch."""
        end = time.monotonic() + seconds
        all_of = Place(place.resource, place.namespace)
        fields = f"metadata.name={place.name}" if place.name else ""
        while True:
            found, version = self.every_at(all_of, labels, fields)
            now = {one["metadata"]["uid"]: one for one in found}
            if done(list(now.values())):
                return True
            for event in self._events(all_of, labels, fields, version, end):
                one = event["object"]
                now[one["metadata"]["uid"]] = one
                if event["type"] == "DELETED":
                    del now[one["metadata"]["uid"]]
                if done(list(now.values())):
                    return True
            if time.monotonic() > end:
                return False

    def _events(
        self, place: Place, labels: str, fields: str, version: str, end: float
    ) -> Iterator[dict[str, Any]]:
        """What happens at `place` after `version`, until `end` or until the list must be read again."""
        from kubernetes import watch  # type: ignore[import-untyped]  # it has no types

        def stream(**query: Any) -> Any:
            query.pop("_preload_content")
            timeout = (CONNECT, max(0.1, end - time.monotonic()) + 1.0)
            query = {
                **{key: value for key, value in query.items() if value not in (None, "")},
                "watch": "true",
            }
            return self.send("GET", place.path, None, query, timeout, _preload_content=False)

        while (left := end - time.monotonic()) > 0:
            try:
                for event in watch.Watch().stream(
                    stream, labelSelector=labels, fieldSelector=fields, resourceVersion=version,
                    allowWatchBookmarks="true", timeout_seconds=None, timeoutSeconds=max(1, round(left)),
                ):  # fmt: skip
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event
                    if time.monotonic() > end:
                        return
            except Exception as error:
                told = in_words(error, self.host, "WATCH", place, "")
                if not isinstance(told, Gone | Unreachable):
                    raise told from None
                time.sleep(min(pause(error, 0), max(0.0, end - time.monotonic())))
                return  # from a fresh list
            time.sleep(AGAIN)

    def may(self, verb: str, resource: str, namespace: str) -> bool:
        """Whether these credentials may do it. `resource` may name a part: `pods/eviction`."""
        name, _, sub = resource.partition("/")
        group = GROUPS.get(name, CHAOS_MESH).removeprefix("/apis/").rpartition("/")[0]
        what = {"verb": verb, "resource": name, "subresource": sub, "namespace": namespace,
                "group": "" if group == "/api" else group}  # fmt: skip
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": what}}  # fmt: skip
        answer = self.call("POST", Place("selfsubjectaccessreviews"), body=body)
        return bool(answer.get("status", {}).get("allowed"))


def lacking(api: Api, wanted: Iterable[tuple[str, str, str]]) -> str:
    """What of `wanted` (verb, resource, namespace; "": all) these credentials may not do; "" for nothing."""
    missing = [one for one in wanted if not api.may(*one)]
    if not missing:
        return ""
    words = listed([f"{verb} {what}" + (f" in namespace {ns}" if ns else "") for verb, what, ns in missing])
    return f"the credentials may not {words}; grant it by a Role or ClusterRole"
