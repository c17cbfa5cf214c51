"""The networks of a container: what it has there, taken away and given back."""

from collections.abc import Mapping
from typing import Any

from engine.errors import Refused

Endpoint = dict[str, Any]  # network, name, address, address6, fixed, aliases, links, options
CHOSEN = ("IPv4Address", "IPv6Address")
USUAL = "bridge"  # the network on which neither addresses nor aliases can be chosen


def capture(api: Any, attrs: Mapping[str, Any]) -> list[Endpoint]:
    """What gives the container its networks again; raises Refused where nothing would."""
    if why := _refusal(api, attrs):
        raise Refused(f"Container {attrs['Name'].lstrip('/')} {why}")
    return list(_endpoints(attrs).values())


def _refusal(api: Any, attrs: Mapping[str, Any]) -> str:
    host = attrs["HostConfig"]
    mode = str(host["NetworkMode"])
    if mode in ("host", "none") or mode.startswith("container:"):
        return f"has no network of its own (its mode is {mode.partition(':')[0]}), so it cannot be taken off one."
    if not attrs["NetworkSettings"]["Networks"]:
        return "is on no network. If it was taken off, put it back first: docker network connect"
    published = [one for bindings in (host.get("PortBindings") or {}).values() for one in bindings or []]
    if host.get("PublishAllPorts") or any(one.get("HostPort") in ("", "0") for one in published):
        return "is published on a port that its engine chooses: it would be another one after. Publish it on a fixed port."
    guests = [one["Names"][0].lstrip("/") for one in api.containers()
              if one["HostConfig"]["NetworkMode"] == f"container:{attrs['Id']}"]  # fmt: skip
    return f"shares its network with {', '.join(guests)}, which would be cut off too." if guests else ""


def leave(api: Any, attrs: Mapping[str, Any], networks: list[Endpoint]) -> None:
    present = _endpoints(attrs)
    for one in networks:
        if one["network"] in present:
            api.disconnect_container_from_network(attrs["Id"], one["network"])


def join(api: Any, attrs: Mapping[str, Any], networks: list[Endpoint]) -> None:
    """Idempotent. One that came back by itself, without its names or its fixed address, gets these again."""
    present = _endpoints(attrs)
    for one in networks:
        now = present.get(one["network"])
        if now is not None and _whole(one, now):
            continue
        if now is not None:
            api.disconnect_container_from_network(attrs["Id"], one["network"])
        _connect(api, attrs["Id"], one)


def _connect(api: Any, id: str, one: Endpoint) -> None:
    import docker

    links = [tuple(link.split(":", 1)) for link in one["links"]]
    settings = {"links": links, "driver_opt": one["options"]}
    if one["name"] != USUAL:
        settings["aliases"] = one["aliases"]
    address = {"ipv4_address": one["address"] or None, "ipv6_address": one["address6"] or None}
    try:
        chosen = {} if one["name"] == USUAL else address
        api.connect_container_to_network(id, one["network"], **settings, **chosen)
    except docker.errors.APIError:
        if one["fixed"]:
            raise
        # an address that the engine had chosen: it may be another's by now, or not to be asked for
        api.connect_container_to_network(id, one["network"], **settings)


def missing(attrs: Mapping[str, Any], networks: list[Endpoint]) -> list[str]:
    """The names of the networks that the container has not, or not as it had them."""
    present = _endpoints(attrs)
    return [
        one["name"] for one in networks
        if one["network"] not in present or not _whole(one, present[one["network"]])
    ]  # fmt: skip


def moved(attrs: Mapping[str, Any], networks: list[Endpoint]) -> list[str]:
    """Where the container has another address than it had, in words."""
    present = _endpoints(attrs)
    pairs = [(one, present[one["network"]]) for one in networks if one["network"] in present]
    return [
        f"{now['address']} instead of {one['address']} on {one['name']}" for one, now in pairs
        if now["address"] and now["address"] != one["address"]
    ]  # fmt: skip


def _whole(one: Endpoint, now: Endpoint) -> bool:
    """Whether the endpoint has the names and the fixed address that it had."""
    return set(one["aliases"]) <= set(now["aliases"]) and (not one["fixed"] or one["fixed"] == now["fixed"])


def _endpoints(attrs: Mapping[str, Any]) -> dict[str, Endpoint]:
    """By network id."""
    found = {}
    for name, told in attrs["NetworkSettings"]["Networks"].items():
        found[told["NetworkID"]] = {
            "network": told["NetworkID"], "name": name, "address": told["IPAddress"],
            "address6": told.get("GlobalIPv6Address") or "",
            "fixed": {key: value for key, value in (told.get("IPAMConfig") or {}).items() if key in CHOSEN and value},
            "aliases": told.get("Aliases") or [], "links": told.get("Links") or [], "options": told.get("DriverOpts") or {},
        }  # fmt: skip
    return found
