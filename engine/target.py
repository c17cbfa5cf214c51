"""A target: a registered service, its nodes, and how each is reached and controlled."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.errors import BadInput, Problem, there_are

KEYS = (
    "name",
    "kind",
    "environment",
    "max_down",
    "depends_on",
    "driver",
    "nodes",
)  # of a target as it is written
OF_A_NODE = ("name", "address", "upstream", "driver", "tags")
UDP = "udp://"  # before the upstream address of a link of datagrams


@dataclass(frozen=True)
class Node:
    """One instance. `address` ("host:port") is where clients reach it.

    Where `upstream` is given ("host:port", of UDP "udp://host:port"), chaosboard's link proxy listens on
    `address` and forwards to `upstream`, so that the link can be delayed or cut. `control` is the name of a driver and
    `control_params` its parameters; "" means that the node can be looked at but not hurt. `tags` group
    nodes, as by zone; `kind` is that of the service it belongs to.
    """

    name: str
    address: str
    upstream: str = ""
    control: str = ""
    control_params: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    kind: str = field(default="", compare=False)

    @property
    def host(self) -> str:
        return split_address(self.address)[0]

    @property
    def port(self) -> int:
        return split_address(self.address)[1]

    @property
    def protocol(self) -> str:
        """Of the link between clients and the node: tcp or udp."""
        return "udp" if self.upstream.startswith(UDP) else "tcp"

    @property
    def own_address(self) -> str:
        """Where the node itself listens, behind the link if there is one."""
        return self.upstream.removeprefix(UDP) or self.address

    def to_dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {"name": self.name, "address": self.address}
        if self.upstream:
            result["upstream"] = self.upstream
        if self.control:
            result["driver"] = {self.control: self.control_params}
        if self.tags:
            result["tags"] = list(self.tags)
        return result


@dataclass(frozen=True)
class Target:
    """A service. `kind` names the probe that looks at it by default: http, tcp, etcd, redis, …

    `max_down` is the share of its nodes that may be hurt at once (its environment's cap); `depends_on`
    names the services that it needs to do its work.
    """

    name: str
    nodes: tuple[Node, ...]
    kind: str = "tcp"
    environment: str = "default"
    max_down: float = 1.0
    depends_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(replace(node, kind=self.kind) for node in self.nodes))

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "environment": self.environment,
            "max_down": self.max_down,
            "nodes": [node.to_dict() for node in self.nodes],
        }
        return found | {"depends_on": list(self.depends_on)} if self.depends_on else found

    @classmethod
    def from_dict(cls, data: object, where: str = "target") -> "Target":
        """Reads the form of `doors.md`: name, kind, nodes, and a driver for all or for each node."""
        if not isinstance(data, Mapping):
            raise BadInput([Problem(where, "must be a mapping with name and nodes")])
        problems = [
            Problem(f"{where}.{key}", f"unknown key; {there_are(key, KEYS)}")
            for key in data
            if key not in KEYS
        ]
        nodes = data.get("nodes")
        needed = data.get("depends_on") or []
        if not isinstance(needed, list | tuple) or not all(isinstance(n, str) and n.strip() for n in needed):
            problems.append(Problem(f"{where}.depends_on", "must be a list of names of services"))
            needed = []
        if not data.get("name"):
            problems.append(Problem(f"{where}.name", "is missing: what is the service called?"))
        if not isinstance(nodes, list | tuple) or not nodes:
            problems.append(Problem(f"{where}.nodes", "is missing: a list of nodes with name and address"))
            nodes = []
        read = []
        for i, node in enumerate(nodes):
            try:
                read.append(_node(node, data.get("driver"), f"{where}.nodes.{i}"))
            except BadInput as error:
                problems.extend(error.problems)
        names = [node.name for node in read]
        problems += [
            Problem(f"{where}.nodes", f"two nodes are called {name!r}; each needs its own name")
            for name in sorted({n for n in names if names.count(n) > 1})
        ]
        if problems:
            raise BadInput(problems)
        return cls(
            name=str(data["name"]),
            nodes=tuple(read),
            kind=str(data.get("kind", "tcp")),
            environment=str(data.get("environment", "default")),
            max_down=float(data.get("max_down", 1.0)),
            depends_on=tuple(dict.fromkeys(name.strip() for name in needed)),
        )


def _node(data: object, default_driver: object, where: str) -> Node:
    if not isinstance(data, Mapping):
        raise BadInput([Problem(where, "must be a mapping with name and address")])
    problems = [
        Problem(f"{where}.{key}", f"unknown key; {there_are(key, OF_A_NODE)}")
        for key in data
        if key not in OF_A_NODE
    ]
    for key in ("address", "upstream"):
        if key == "address" or data.get(key):
            try:
                split_address(str(data.get(key) or "").removeprefix(UDP if key == "upstream" else ""))
            except ValueError as error:
                problems.append(Problem(f"{where}.{key}", str(error)))
    driver = data.get("driver", default_driver) or {}
    if isinstance(driver, str):
        driver = {driver: {}}
    if not isinstance(driver, Mapping) or len(driver) > 1:
        problems.append(Problem(f"{where}.driver", "must name one driver, as in {process: {pid: 4711}}"))
        driver = {}
    tags = data.get("tags") or []
    if not isinstance(tags, list | tuple) or not all(_is_tag(tag) for tag in tags):
        problems.append(Problem(f"{where}.tags", "must be a list of words, as in [zone-a, fast-disk]"))
    if problems:
        raise BadInput(problems)
    control, params = next(iter(driver.items()), ("", {}))
    address = str(data["address"])
    return Node(
        name=str(data.get("name") or address),
        address=address,
        upstream=str(data.get("upstream") or ""),
        control=str(control),
        control_params=dict(params or {}),
        tags=tuple(tags),
    )


def _is_tag(tag: object) -> bool:
    return isinstance(tag, str) and bool(tag) and not any(c.isspace() or c == "," for c in tag)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[v6]:port"; raises ValueError saying what would be right."""
    host, colon, port = address.strip().rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not an address; write host:port, as in 127.0.0.1:8080")
    if any(c.isspace() or c in "/@" for c in host):
        raise ValueError(f"{host!r} is not a host name; write host:port, as in 127.0.0.1:8080")
    return host, int(port)
