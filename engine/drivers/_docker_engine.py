"""Containers of a Docker engine: how the engine is asked, and which containers must not be hurt.

What an engine tells of a container (`attrs`) is the mapping of its inspect call.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine import processes
from engine.capabilities import ReadBack
from engine.errors import EngineError, Refused, Unreachable
from engine.state import PART
from engine.text import count

USUAL = "unix:///var/run/docker.sock"
LOOKS = 5.0  # seconds for an engine to answer a question
ACTS = 30.0  # seconds for it to do what it was told
KNOWN = 2.0  # seconds for which what an engine said of itself is taken for true
OWN_LABEL = "chaosboard.part"
SERVICES = ("REDIS_URL", "DATABASE_URL")
Attrs = Mapping[str, Any]

_told: dict[str, tuple[float, dict[str, Any], str]] = {}


def usual_engine() -> str:
    """The address of the engine that the environment names, or of the usual one."""
    return os.environ.get("DOCKER_HOST") or USUAL


@contextmanager
def engine(url: str, patience: float) -> Iterator[Any]:
    """The API of the engine at `url`, for one piece of work; no answer of it may take `patience` seconds.

    Raises Unreachable where it does not answer, Refused where it says no, EngineError where it fails.
    """
    try:
        import docker
        import requests
    except ImportError:
        raise Unreachable("The Docker library is missing here.", "Install it: pip install docker") from None
    client = None
    try:
        client = docker.APIClient(**_way(url), version="auto", timeout=patience)
        yield client
    except docker.errors.APIError as error:
        kind = Refused if error.is_client_error() else EngineError
        raise kind(f"The Docker engine says: {error.explanation or error}") from None
    except requests.exceptions.Timeout:
        raise Unreachable(
            f"The Docker engine at {url} did not answer within {patience:g} s.", "Is it halted or overloaded?"
        ) from None
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise _silent(url, error) from None
    finally:
        if client is not None:
            client.close()


def _way(url: str) -> dict[str, Any]:
    """How to reach `url`: with the certificates that the environment names, where it is the usual engine."""
    import docker

    return {**(docker.utils.kwargs_from_env() if url == usual_engine() else {}), "base_url": url}


def _silent(url: str, error: BaseException) -> Unreachable:
    text = str(error)
    if "timed out" in text.lower():
        return Unreachable(f"The Docker engine at {url} does not answer.", "Is it halted or overloaded?")
    for sign, why in (("FileNotFound", "there is no such socket"), ("ConnectionRefused", "nobody listens"),
                      ("PermissionError", "chaosboard may not use it")):  # fmt: skip
        if sign in text:
            text = why
    return Unreachable(
        f"The Docker engine at {url} cannot be reached: {text}.", "Is it running, and is base_url right?"
    )


def about(url: str) -> tuple[dict[str, Any], str]:
    """What the engine says of itself, or why it says nothing; not asked again for a moment."""
    when, info, why = _told.get(url, (-KNOWN, {}, ""))
    if time.monotonic() - when > KNOWN:
        info, why = {}, ""
        try:
            with engine(url, LOOKS) as api:
                info = api.info()
        except EngineError as error:
            why = str(error)
        _told[url] = (time.monotonic(), info, why)
    return info, why


def inspect(api: Any, name: str) -> dict[str, Any] | None:
    """What the engine tells of a container; None where it has none of that name or id."""
    import docker

    try:
        return dict(api.inspect_container(name))
    except docker.errors.NotFound:
        return None


def update(api: Any, id: str, resources: Mapping[str, int]) -> None:
    """Changes limits of a container, named as the engine names them: the library does not know all of them."""
    import docker
    import requests

    answer = api.post(f"{api.base_url}/v{api.api_version}/containers/{id}/update", json=dict(resources))
    try:
        answer.raise_for_status()
    except requests.exceptions.HTTPError as error:
        docker.errors.create_api_error_from_http_exception(error)


def name_of(attrs: Attrs) -> str:
    return str(attrs["Name"]).lstrip("/")


def describe(attrs: Attrs) -> str:
    """`container web-1 (image nginx:local), pid 4711`."""
    policy = (attrs["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no"
    by_itself = "" if policy == "no" else f", restart policy {policy}"
    return f"container {name_of(attrs)} (image {attrs['Config']['Image']}), pid {attrs['State']['Pid']}{by_itself}"


def runs(captured: Mapping[str, Any], attrs: Attrs | None) -> ReadBack:
    """Whether the captured container runs; `attrs` is it, or, if it was removed, another one of its name."""
    name = captured["name"]
    if attrs is None or (attrs["Id"] != captured["id"] and not attrs["State"]["Running"]):
        return ReadBack(
            None, f"container {name} was removed meanwhile, so it cannot be started again; create it anew"
        )
    state = attrs["State"]
    if attrs["Id"] != captured["id"]:
        return ReadBack(True, f"container {name} was removed meanwhile; another one of its name runs")
    if state.get("Restarting"):
        return ReadBack(False, f"container {name} ends and is started by its engine over and over")
    if state.get("Paused"):
        return ReadBack(False, f"container {name} is paused by somebody else; docker unpause {name}")
    if not state["Running"]:
        return ReadBack(False, f"container {name} does not run, it is {state['Status']}")
    again = attrs["RestartCount"] - captured["restarts"]
    policy = f"; its restart policy started it {count(again, 'time')} meanwhile" if again > 0 else ""
    return ReadBack(True, f"container {name} runs, pid {state['Pid']}{policy}")


def refusal(attrs: Attrs, url: str) -> str:
    """Why the container must not be hurt now; "" where it may be."""
    name, state = name_of(attrs), attrs["State"]
    if why := _own(attrs, url):
        return f"Container {name} {why}"
    if state.get("Restarting"):
        return f"Container {name} ends and is started by its engine over and over. Mend it first."
    if state.get("Paused"):
        return f"Container {name} is paused already: that is not to be overwritten. Let it go on first: docker unpause {name}"
    if not state.get("Running"):
        return f"Container {name} does not run, it is {state.get('Status', 'down')}. Start it first: docker start {name}"
    return ""


def _own(attrs: Attrs, url: str) -> str:
    """Why the container is one that chaosboard itself needs."""
    labels = attrs["Config"].get("Labels") or {}
    environ = attrs["Config"].get("Env") or []
    if OWN_LABEL in labels or any(one.startswith(f"{PART}=") for one in environ):
        return "is a part of chaosboard itself; it never hurts itself."
    if surrounds(attrs["Id"]):
        return "is the one in which chaosboard runs; it never hurts itself."
    for service in SERVICES:
        if _serves(attrs, url, os.environ.get(service, "")):
            return f"serves chaosboard's own {service}; it never cuts the branch it sits on."
    return ""


def surrounds(id: str, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether this process runs in the container: its engine mounted files of it in our /etc."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return False
    return any(id in line[3] and line[4].startswith("/etc/") for line in lines)


def _serves(attrs: Attrs, url: str, service: str) -> bool:
    try:
        parts = urlsplit(service)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host:
        return False
    if host in _names(attrs):
        return True
    engine = urlsplit(url)
    here = engine.scheme == "unix" and processes.is_local(host)
    return bool(port) and (here or host == engine.hostname) and _answers_on(attrs, port or 0, here)


def _names(attrs: Attrs) -> set[str]:
    """Under which names and addresses others reach the container."""
    found = {name_of(attrs), attrs["Id"][:12], attrs["Config"].get("Hostname") or ""}
    for endpoint in attrs["NetworkSettings"]["Networks"].values():
        addresses = {endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")}
        found |= {*(endpoint.get("Aliases") or []), *addresses}
    return found - {"", None}


def _answers_on(attrs: Attrs, port: int, here: bool) -> bool:
    """Whether the container is behind a port of the host on which its engine is; `here` is this host."""
    published = attrs["NetworkSettings"].get("Ports") or {}
    if any(one["HostPort"] == str(port) for bindings in published.values() for one in bindings or []):
        return True
    if not here or attrs["HostConfig"]["NetworkMode"] != "host" or not attrs["State"]["Running"]:
        return False
    family = processes.tree(attrs["State"]["Pid"])
    return bool(processes.listeners(port) & {one["pid"] for one in family})


def is_here(id: str, pid: int) -> bool:
    """Whether `pid`, as an engine tells it, is the process of that container on this very host."""
    for table in ("cgroup", "mountinfo"):
        with suppress(OSError):
            if id in Path(f"/proc/{pid}/{table}").read_text():
                return True
    return False
