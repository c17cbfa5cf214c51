"""Commands in a pod, by its exec subresource (a websocket), each with the command that takes it back.

Before the first command the pod is marked by an annotation that also says what undoes it; the mark goes
when the undo command has ended well. So the pod itself says whether it is still to be undone.
"""

import json
import shlex
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from engine.capabilities import Captured, ReadBack
from engine.drivers import _kubernetes_marks as marks
from engine.drivers._kubernetes_answers import Object, Place
from engine.drivers._kubernetes_api import CONNECT, Api
from engine.errors import EngineError, Refused, Unreachable
from engine.text import listed

UNDO = "chaosboard/undo"  # annotation: the command that takes it back, as JSON
SAID = 300  # characters of what a command printed that are told


def capture(pod: Object, container: str) -> Captured:
    """Which pod and container; raises Refused where another fault has left its mark on the pod."""
    marks.refuse_other({"kind": "Pod", **pod})
    there = [one["name"] for one in pod["spec"]["containers"]]
    if container and container not in there:
        raise Refused(
            f"The pod {pod['metadata']['name']} has no container {container}, only {listed(there)}."
        )
    meta = pod["metadata"]
    return {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"],
            "container": container or there[0]}  # fmt: skip


def execute(
    api: Api, captured: Captured, mark: str, command: Sequence[str], undo: Sequence[str], seconds: float
) -> str:
    """Marks the pod, runs `command` in it and returns what it printed; raises EngineError where it failed."""
    at = Place("pods", captured["namespace"], captured["pod"])
    until = marks.end_of(mark)

    def edit(pod: Object) -> Object | None:
        if pod["metadata"]["uid"] != captured["uid"]:
            return None
        marks.refuse_other({"kind": "Pod", **pod}, mark)
        return {"metadata": marks.put(mark, until, {UNDO: json.dumps(list(undo))})}

    now = api.change(at, edit)
    if now is None or marks.of(now) != mark:
        raise Unreachable(f"The pod {captured['pod']} is gone, so nothing was run in it.")
    return run(api, captured, command, seconds)


def unexecute(api: Api, captured: Captured, mark: str, undo: Sequence[str], seconds: float) -> None:
    """Runs `undo` in the pod where it carries our mark, and takes the mark off when it ended well."""
    at = Place("pods", captured["namespace"], captured["pod"])
    now = api.get(at)
    if now is None or now["metadata"]["uid"] != captured["uid"] or marks.of(now) != mark:
        return
    if undo:
        run(api, captured, undo, seconds)
    api.change(at, lambda pod: _unmarked(pod, mark))


def _unmarked(pod: Object, mark: str) -> Object | None:
    return {"metadata": marks.off(UNDO)} if marks.of(pod) == mark else None


def unexecuted(api: Api, captured: Captured, mark: str) -> ReadBack:
    now = api.get(Place("pods", captured["namespace"], captured["pod"]))
    if now is None or now["metadata"]["uid"] != captured["uid"]:
        return ReadBack(True, f"the pod {captured['pod']} was replaced, and with it what was done in it")
    if marks.of(now) == mark:
        return ReadBack(
            False, f"the pod {captured['pod']} carries our mark: its undo command has not ended well"
        )
    return ReadBack(True, f"the pod {captured['pod']} carries no mark of ours")


def run(api: Api, captured: Captured, command: Sequence[str], seconds: float) -> str:
    """What `command` printed in the pod; raises EngineError where it failed or took longer than `seconds`."""
    from websocket import WebSocketException

    words = shlex.join(command)
    with_pod = f"`{words}` in the pod {captured['pod']}"
    session = _open(api, captured, command)
    try:
        session.run_forever(timeout=seconds)
        if session.is_open():
            raise EngineError(f"{with_pod} did not end within {seconds:g} s; it may still run there.")
        status = _status(session, with_pod)
        said = str(session.read_all()).strip()[-SAID:]
    except (OSError, WebSocketException) as error:
        raise Unreachable(f"The connection broke during {with_pod}: {error}.") from None
    finally:
        session.close(timeout=CONNECT)
    if status:
        raise EngineError(f"{with_pod} ended with status {status}: {said or 'it printed nothing'}.")
    return said


def _open(api: Api, captured: Captured, command: Sequence[str]) -> Any:
    import websocket
    from kubernetes.stream.ws_client import WSClient  # type: ignore[import-untyped]  # it has no types

    asked = [("command", word) for word in command] + [("stdout", "true"), ("stderr", "true")]
    asked.append(("container", captured["container"]))
    at = Place("pods", captured["namespace"], captured["pod"])
    url = f"{api.host}{at.path}/exec?{urlencode(asked)}".replace("http", "ws", 1)
    websocket.setdefaulttimeout(CONNECT)  # the library waits for ever otherwise
    try:
        return WSClient(api.configuration, url, api.credentials(), capture_all=True)
    except websocket.WebSocketBadStatusException as error:
        if error.status_code == 403:
            raise Refused(
                f"The credentials may not get and create pods/exec in namespace {captured['namespace']}.",
                "Grant it by a Role or ClusterRole.",
            ) from None
        raise Unreachable(f"No command could be run in the pod {captured['pod']}: {error}.") from None
    except (OSError, websocket.WebSocketException) as error:
        raise Unreachable(f"The Kubernetes API at {api.host} did not answer: {error}.") from None


def _status(session: Any, what: str) -> int:
    """The exit status that came on the error channel; raises EngineError where none came."""
    try:
        return int(session.returncode)
    except (TypeError, ValueError, KeyError, IndexError):
        raise EngineError(f"{what} ended without an exit status, so it may have failed.") from None
