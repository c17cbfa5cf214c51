"""A Kubernetes API server of the tests' own: real HTTP and websockets on loopback, no Kubernetes behind it.

It speaks the part of the API that the driver uses, as a real server answers it: typed paths, resource
versions, pages, Status objects, merge patches, watches with bookmarks, preconditions, eviction, scale,
exec, access reviews. What it cannot show is everything behind the API: see `kubernetes_cluster`. A test
that passes here has shown what the driver says on the wire, not that a cluster does it.
"""

import asyncio
import base64
import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import uvicorn
import yaml

from tests.engine.kubernetes_cluster import KINDS, Cluster, Failure, Object

TOKEN = "a-token-of-the-tests"
PATH = re.compile(r"(/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/([^/]+))?/([^/]+)(?:/([^/]+)(?:/([^/]+))?)?")
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")


@dataclass
class Said:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    kind: str


@dataclass
class Trouble:
    """What is done instead of answering, `times` times: a Status with `code`, or `how` = drop or hang."""

    method: str
    path: str
    times: int
    code: int = 0
    how: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False  # the request is carried out first, only its answer is lost


class Server:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.said: list[Said] = []
        self.troubles: list[Trouble] = []
        self.denied: set[tuple[str, str]] = set()  # verb and resource that RBAC forbids
        self.expire_watches = self.expire_pages = 0  # how many of the next ones are too old
        self.short_watches = 0  # how many of the next ones the server ends after their first bookmark
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        config = uvicorn.Config(
            self.app, log_level="critical", lifespan="off", ws="websockets-sansio", interface="asgi3"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def trouble(self, method: str, path: str, times: int = 1, **how: Any) -> None:
        self.troubles.append(Trouble(method, path, times, **how))

    def asked(self, method: str, path: str) -> list[Said]:
        return [one for one in self.said if one.method == method and re.search(path, one.path)]

    def kubeconfig(self, file: Path, url: str = "", token: str = TOKEN) -> str:
        told = {
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": url or self.url}}],
            "users": [{"name": "tests", "user": {"token": token}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }  # fmt: skip
        file.write_text(yaml.safe_dump(told))
        return str(file)

    # HTTP

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self.exec(scope, receive, send)
            return
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message.get("body", b"")
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode()))
        told = json.loads(body) if body else {}
        said = Said(scope["method"], scope["path"], query, told, headers.get("content-type", ""))
        self.said.append(said)
        try:
            await self._trouble(said, send)
            if headers.get("authorization") != f"Bearer {TOKEN}":
                raise Failure(401, "Unauthorized", "Unauthorized")
            if query.get("watch") == "true":
                await self.watch(said, send)
                return
            code, answer = self.answer(said)
            await reply(send, code, answer)
        except Failure as failure:
            await reply(send, failure.code, status(failure))
        except _Answered:
            return

    async def _trouble(self, said: Said, send: Any) -> None:
        for one in self.troubles:
            if one.times and one.method == said.method and re.search(one.path, said.path):
                one.times -= 1
                if one.after:
                    self.answer(said)
                if one.how == "hang":
                    await asyncio.sleep(600)
                if one.how == "drop":  # the answer breaks off: uvicorn then closes the connection
                    await send(
                        {
                            "type": "http.response.start",
                            "status": 200,
                            "headers": [(b"content-length", b"99")],
                        }
                    )
                    with contextlib.suppress(Exception):
                        await send({"type": "http.response.body", "body": b"{"})
                    raise _Answered
                failure = Failure(one.code, "InternalError", "trouble that the test made")
                await reply(send, one.code, status(failure), one.headers)
                raise _Answered

    def answer(self, said: Said) -> tuple[int, Any]:
        if said.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            return 201, {**said.body, "status": {"allowed": not self._denies(said.body)}}
        if said.path == "/apis/chaos-mesh.org/v1alpha1" and self.cluster.chaos_mesh:
            kinds = [{"name": n, "kind": k} for n, (group, k) in KINDS.items() if group == said.path]
            return 200, {"kind": "APIResourceList", "resources": kinds}
        match = PATH.fullmatch(said.path)
        if not match or KINDS.get(match[3], ("",))[0] != match[1] or self._not_installed(match[1]):
            return 404, "404 page not found"  # no Status: so says a server of a path that it does not know
        _, namespace, resource, name, sub = match.groups()
        self._allow(said, resource, name, sub)
        return self._do(said, resource, namespace or "", name or "", sub or "")

    def _not_installed(self, group: str) -> bool:
        return "chaos-mesh" in group and not self.cluster.chaos_mesh

    def _denies(self, review: Object) -> bool:
        asked = review["spec"]["resourceAttributes"]
        sub = f"/{asked['subresource']}" if asked["subresource"] else ""
        group = KINDS[asked["resource"]][0].removeprefix("/apis/").rpartition("/")[0]
        assert asked["group"] == ("" if group == "/api" else group), "a review of another group"
        return (asked["verb"], f"{asked['resource']}{sub}") in self.denied

    def _allow(self, said: Said, resource: str, name: str | None, sub: str | None) -> None:
        verbs = {"GET": "get" if name else "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
        verb = "watch" if said.query.get("watch") else verbs[said.method]
        thing = f"{resource}/{sub}" if sub else resource
        if (verb, thing) in self.denied:
            raise Failure(
                403, "Forbidden", f'{thing} is forbidden: User "board" cannot {verb} resource "{thing}"'
            )

    def _do(self, said: Said, resource: str, namespace: str, name: str, sub: str) -> tuple[int, Any]:
        cluster = self.cluster
        if said.method == "PATCH" and said.kind not in PATCHES:
            raise Failure(
                415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {said.kind}"
            )
        if sub == "eviction":
            cluster.evict(namespace, name, said.body.get("deleteOptions", {}))
            return 201, {"kind": "Status", "status": "Success"}
        if sub == "scale":
            if said.method == "PATCH":
                cluster.patch(resource, namespace, name, {"spec": said.body["spec"]})
            return 200, {
                "kind": "Scale",
                "spec": {"replicas": cluster.get(resource, namespace, name)["spec"]["replicas"]},
            }
        if said.method == "POST":
            return 201, cluster.create(resource, namespace, said.body)
        if said.method == "PATCH":
            return 200, cluster.patch(resource, namespace, name, said.body)
        if said.method == "DELETE":
            return 200, cluster.delete(resource, namespace, name, said.body)
        return 200, cluster.get(resource, namespace, name) if name else self._list(said, resource, namespace)

    def _list(self, said: Said, resource: str, namespace: str) -> Object:
        with self.cluster.lock:
            found = [one for one in self.cluster.there(resource, namespace) if chosen(said.query, one)]
            meta: Object = {"resourceVersion": str(self.cluster.version)}
        begin = 0
        if token := said.query.get("continue"):
            if self.expire_pages:
                self.expire_pages -= 1
                raise Failure(410, "Expired", "The provided continue parameter is too old")
            begin = int(base64.b64decode(token))
        end = begin + int(said.query.get("limit", len(found) or 1))
        if end < len(found):
            meta["continue"] = base64.b64encode(str(end).encode()).decode()
        return {"kind": f"{KINDS[resource][1]}List", "metadata": meta, "items": found[begin:end]}

    async def watch(self, said: Said, send: Any) -> None:
        match = PATH.fullmatch(said.path)
        assert match
        resource, namespace = match[3], match[2] or ""
        self._allow(said, resource, None, None)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )

        async def tell(kind: str, one: Object) -> None:
            line = json.dumps({"type": kind, "object": one}).encode() + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})

        at = int(said.query.get("resourceVersion", 0))
        end = asyncio.get_running_loop().time() + float(said.query.get("timeoutSeconds", 60))
        if short := self.short_watches:
            self.short_watches -= 1
        elif self.expire_watches or at < self.cluster.oldest:
            self.expire_watches = max(0, self.expire_watches - 1)
            await tell("ERROR", status(Failure(410, "Expired", f"too old resource version: {at}")))
            end = 0
        while asyncio.get_running_loop().time() < end and not self.server.should_exit:
            for version, kind, before, after in [e for e in self.cluster.log if e[0] > at]:
                at = version
                was = before is not None and kind == resource and self._seen(said, namespace, before)
                now = after is not None and kind == resource and self._seen(said, namespace, after)
                if was or now:
                    one = after or {
                        **before,
                        "metadata": {**before["metadata"], "resourceVersion": str(version)},
                    }
                    await tell("MODIFIED" if was and now else "ADDED" if now else "DELETED", one)
            if said.query.get("allowWatchBookmarks"):
                await tell("BOOKMARK", {"kind": KINDS[resource][1], "metadata": {"resourceVersion": str(at)}})
            if short:
                break
            await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b""})

    def _seen(self, said: Said, namespace: str, one: Object) -> bool:
        inside = not namespace or one["metadata"].get("namespace") == namespace
        return inside and chosen(said.query, one)

    # Websockets

    async def exec(self, scope: Any, receive: Any, send: Any) -> None:
        """The exec subresource: runs the command in the pod's directory, its output and status by channels."""
        assert (await receive())["type"] == "websocket.connect"
        headers = {k.decode().lower(): v.decode() for k, v in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        match = PATH.fullmatch(scope["path"])
        assert match
        self.said.append(
            Said("EXEC", scope["path"], {"container": query["container"][0]}, query["command"], "")
        )
        denied = (
            self.denied & {("create", "pods/exec"), ("get", "pods/exec")}
            or headers.get("authorization") != f"Bearer {TOKEN}"
        )
        if denied or ("pods", match[2], match[4]) not in self.cluster.objects:
            await send(
                {"type": "websocket.http.response.start", "status": 403 if denied else 404, "headers": []}
            )
            await send({"type": "websocket.http.response.body", "body": b"{}"})
            return
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        folder = self.cluster.folder / match[4]
        folder.mkdir(parents=True, exist_ok=True)
        child = await asyncio.create_subprocess_exec(
            *query["command"], cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await child.communicate()
        for channel, text in ((1, out), (2, err)):
            if text:
                await send({"type": "websocket.send", "bytes": bytes([channel]) + text})
        told: Object = {"metadata": {}, "status": "Success"}
        if child.returncode:
            causes = [{"reason": "ExitCode", "message": str(child.returncode)}]
            told = {
                "metadata": {},
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "details": {"causes": causes},
            }
        await send({"type": "websocket.send", "bytes": b"\3" + json.dumps(told).encode()})
        await send({"type": "websocket.close", "code": 1000})


class _Answered(Exception):
    pass


async def reply(send: Any, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
    kind, text = ("text/plain", body) if isinstance(body, str) else ("application/json", json.dumps(body))
    told = {"content-type": kind, "content-length": str(len(text.encode())), **(headers or {})}
    pairs = [(k.lower().encode(), v.encode()) for k, v in told.items()]
    await send({"type": "http.response.start", "status": code, "headers": pairs})
    await send({"type": "http.response.body", "body": text.encode()})


def status(failure: Failure) -> Object:
    told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": failure.message,
            "reason": failure.reason, "code": failure.code}  # fmt: skip
    return told | ({"details": {"causes": failure.causes}} if failure.causes else {})


def chosen(query: dict[str, str], one: Object) -> bool:
    """Whether the label and field selectors of a list pick it."""
    labels = one["metadata"].get("labels", {})
    parts = [p for p in re.split(r",(?![^(]*\))", query.get("labelSelector", "")) if p]
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        key, _, value = part.partition("=")
        top, _, name = key.partition(".")
        if one.get(top, {}).get(name, "") != value:
            return False
    return all(_picks(part.strip(), labels) for part in parts)


def _picks(part: str, labels: dict[str, str]) -> bool:
    if among := re.fullmatch(r"(\S+) (in|notin) \((.*)\)", part):
        return (labels.get(among[1]) in among[3].split(",")) == (among[2] == "in")
    if part.startswith("!"):
        return part[1:] not in labels
    key, equal, value = part.partition("=")
    return labels.get(key) == value.lstrip("=") if equal else key in labels


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with an empty cluster, and its controllers at work."""
    server = Server(Cluster(folder))
    ending = threading.Event()

    def controllers() -> None:
        while not ending.wait(0.01):
            server.cluster.tick()

    moving = threading.Thread(target=controllers, daemon=True)
    server.thread.start()
    moving.start()
    try:
        yield server
    finally:
        ending.set()
        server.server.should_exit = server.server.force_exit = True
        moving.join(5)  # the server's own thread ends a moment later, when its loop looks again
