"""Containers of a Docker engine, local or remote: everything is asked of the engine's API."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.capabilities import Captured, Limit, ReadBack
from engine.drivers import Driver
from engine.drivers import _docker_engine as containers
from engine.drivers import _docker_limits as limits
from engine.drivers import _docker_networks as networks
from engine.drivers._docker_engine import ACTS, LOOKS
from engine.errors import EngineError, Refused, Unreachable
from engine.parameters import param
from engine.processes import tree
from engine.target import Node
from engine.text import listed


@dataclass(frozen=True)
class Docker(Driver):
    """A container of a Docker engine, on this host or another one."""

    container: str = param(help="its name or id")
    base_url: str = param(
        "",
        help="the engine's address, as unix:///run/docker.sock or tcp://host:2376; if empty, that of "
        "DOCKER_HOST, or the usual socket",
    )

    # What the board asks

    def cannot(self, capability: type) -> str:
        info, why = containers.about(self._url())
        if capability is Limit and not why and not (info.get("CpuCfsQuota") or info.get("MemoryLimit")):
            return f"the Docker engine at {self._url()} has no control groups to limit resources with."
        return why

    def refusal(self, node: Node) -> str:
        try:
            with self._found() as (_, attrs):
                return containers.refusal(attrs, self._url())
        except EngineError as error:
            return str(error)

    def victim(self, node: Node) -> str:
        try:
            with self._found() as (_, attrs):
                return containers.describe(attrs)
        except EngineError:
            return ""

    def _url(self) -> str:
        return self.base_url or containers.usual_engine()

    @contextlib.contextmanager
    def _found(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        with containers.engine(self._url(), LOOKS) as api:
            if (attrs := containers.inspect(api, self.container)) is None:
                raise Unreachable(
                    f"The Docker engine at {self._url()} has no container {self.container}.",
                    "`docker ps -a` shows what it has.",
                )
            yield api, attrs

    def pids(self, node: Node) -> list[int]:
        """None where the engine is on another host."""
        with self._found() as (_, attrs):
            pid = attrs["State"]["Pid"]
            return [one["pid"] for one in tree(pid)] if containers.is_here(attrs["Id"], pid) else []

    # Capture: which container it is, once and for all; and what it has

    def capture(self, node: Node) -> Captured:
        """Raises Refused for a container that must not be hurt, Unreachable where there is none."""
        with self._found() as (_, attrs):
            return self._capture(attrs)

    def capture_limits(self, node: Node) -> Captured:
        with self._found() as (_, attrs):
            return {**self._capture(attrs), "limits": limits.of(attrs)}

    def capture_networks(self, node: Node) -> Captured:
        with self._found() as (api, attrs):
            return {**self._capture(attrs), "networks": networks.capture(api, attrs)}

    def _capture(self, attrs: dict[str, Any]) -> Captured:
        if why := containers.refusal(attrs, self._url()):
            raise Refused(why)
        return {
            "engine": self._url(), "id": attrs["Id"], "name": containers.name_of(attrs),
            "started_at": attrs["State"]["StartedAt"], "restarts": attrs["RestartCount"],
            "vanishes": bool(attrs["HostConfig"].get("AutoRemove")),
        }  # fmt: skip

    # Capabilities: kill, restart

    def signal(self, captured: Captured, signal: str) -> None:
        _must_stay(captured)
        with _there(captured) as (api, attrs):
            if attrs["State"]["Running"]:
                api.kill(captured["id"], f"SIG{signal}")

    def stop(self, captured: Captured, grace: float) -> None:
        _must_stay(captured)
        with _there(captured) as (api, _):
            api.stop(captured["id"], timeout=math.ceil(grace))

    def start(self, node: Node, captured: Captured) -> None:
        """Starts the same container again where it does not run; of one that was removed, see `running`."""
        with _now(captured) as (api, attrs):
            if attrs and not attrs["State"]["Running"]:
                api.start(captured["id"])

    def running(self, node: Node, captured: Captured) -> ReadBack:
        """Unknown for a container that was removed: what was ended cannot be started, and whether it should
        be is its owner's to say. Where another one of its name runs, the owner has said so."""
        with _now(captured) as (api, attrs):
            return containers.runs(captured, attrs or containers.inspect(api, captured["name"]))

    # Pause

    def pause(self, captured: Captured) -> None:
        with _there(captured) as (api, attrs):
            if _born_again(captured, attrs):
                raise Refused(f"Container {captured['name']} was started anew in this moment.", "Try again.")
            api.pause(captured["id"])

    def unpause(self, captured: Captured) -> None:
        with _now(captured) as (api, attrs):
            if attrs and attrs["State"]["Paused"] and not _born_again(captured, attrs):
                api.unpause(captured["id"])

    def unpaused(self, captured: Captured) -> ReadBack:
        name = captured["name"]
        with _now(captured) as (_, attrs):
            if attrs is None:
                return ReadBack(True, f"container {name} was removed meanwhile, and its pause with it")
        if not attrs["State"]["Paused"]:
            how = "runs on" if attrs["State"]["Running"] else f"is {attrs['State']['Status']}, and not paused"
            return ReadBack(True, f"container {name} {how}")
        if _born_again(captured, attrs):  # no pause outlives the end of what it paused
            return ReadBack(True, f"container {name} was started anew, and then paused by somebody else")
        return ReadBack(False, f"container {name} is still paused")

    # Limit

    def limit(self, captured: Captured, mark: str, cpu: float | None, memory: int | None) -> None:
        info, _ = containers.about(captured["engine"])
        for wish, group, what in ((cpu, "CpuCfsQuota", "computing time"), (memory, "MemoryLimit", "memory")):
            if wish is not None and info and not info.get(group):
                raise Refused(f"The Docker engine at {captured['engine']} has no control group for {what}.")
        with _there(captured) as (api, _):
            containers.update(api, captured["id"], limits.lower(captured["limits"], cpu, memory))

    def unlimit(self, captured: Captured, mark: str) -> None:
        with _now(captured) as (api, attrs):
            if attrs and (wanted := limits.former(captured["limits"], limits.of(attrs))):
                containers.update(api, captured["id"], wanted)

    def unlimited(self, captured: Captured, mark: str) -> ReadBack:
        name = captured["name"]
        with _now(captured) as (_, attrs):
            if attrs is None:
                return ReadBack(True, f"container {name} was removed meanwhile, and its limits with it")
        now = limits.of(attrs)
        if limits.former(captured["limits"], now):
            had = limits.show(captured["limits"])
            return ReadBack(False, f"container {name} may use {limits.show(now)}; it was {had}")
        return ReadBack(True, f"container {name} may use {limits.show(now)} again")

    # Isolate

    def isolate(self, captured: Captured, mark: str) -> None:
        with _there(captured) as (api, attrs):
            networks.leave(api, attrs, captured["networks"])

    def rejoin(self, captured: Captured, mark: str) -> None:
        with _now(captured) as (api, attrs):
            if attrs:
                networks.join(api, attrs, captured["networks"])

    def rejoined(self, captured: Captured, mark: str) -> ReadBack:
        name = captured["name"]
        with _now(captured) as (_, attrs):
            if attrs is None:
                return ReadBack(
                    True, f"container {name} was removed meanwhile; nothing of it is left to put back"
                )
        if off := networks.missing(attrs, captured["networks"]):
            return ReadBack(False, f"container {name} is not as it was on {listed(off)}")
        moved = networks.moved(attrs, captured["networks"])
        return ReadBack(True, "; ".join([f"container {name} is on its networks again", *moved]))


@contextlib.contextmanager
def _now(captured: Captured) -> Iterator[tuple[Any, dict[str, Any] | None]]:
    """The engine, and what it tells of the captured container now; None where that was removed."""
    with containers.engine(captured["engine"], ACTS) as api:
        yield api, containers.inspect(api, captured["id"])


@contextlib.contextmanager
def _there(captured: Captured) -> Iterator[tuple[Any, dict[str, Any]]]:
    """As `_now`, for those who hurt it; raises Unreachable where it was removed."""
    with _now(captured) as (api, attrs):
        if attrs is None:
            raise Unreachable(f"Container {captured['name']} was removed in this moment.")
        yield api, attrs


def _must_stay(captured: Captured) -> None:
    if captured["vanishes"]:
        raise Refused(
            f"Container {captured['name']} is removed as soon as it ends (--rm): nothing could start it again.",
            "Run it without --rm.",
        )


def _born_again(captured: Captured, attrs: dict[str, Any]) -> bool:
    """Whether the container ended and was started since it was captured."""
    return bool(attrs["State"]["StartedAt"] != captured["started_at"])
