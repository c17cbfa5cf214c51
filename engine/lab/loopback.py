"""A system on this machine's loopback: for where namespaces are not allowed, with link proxies where they help."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import document
from engine.errors import Refused
from engine.lab import records
from engine.lab.cluster import Cluster
from engine.lab.systems import REGISTRY, System
from engine.parameters import build

LOOK = 1.0  # seconds between two looks at the servers


def up(root: Path, name: str, kind: str, params: dict[str, Any], *, linked: bool) -> None:
    """Brings a system up, tells where it is, and keeps it until it is interrupted; raises EngineError."""
    system: System = build(REGISTRY.get(kind, "system"), params, "system")
    if linked and not system.linked:
        raise Refused(f"No link proxies can be put into {kind}: its members tell each other where they are.")
    cluster = Cluster(system, records.folder(root) / name / "loopback", root, name=name, linked=linked)
    try:
        cluster.start()
        _tell(cluster)
        while True:
            time.sleep(LOOK)
    except KeyboardInterrupt:
        print("Stopping it.", flush=True)
    finally:
        with suppress(KeyboardInterrupt):
            cluster.stop()


def _tell(cluster: Cluster) -> None:
    print(f"{cluster.name} is up on loopback.")
    for server in cluster.servers:
        behind = f" before {server.behind}" if server.behind not in ("", server.address) else ""
        print(f"  {server.name:<10}{server.address}{behind}, pid {server.pid}")
    file = cluster.directory / "targets.yaml"
    file.write_text(document.dump({"targets": cluster.documents()}))
    print(
        f"Its services are in {file}, for experiments and for the board. It stays until Ctrl-C.", flush=True
    )


def offers() -> str:
    """Every system that there is, and what this machine lacks of it, as a person reads it."""
    lines = []
    for name, cls in REGISTRY:
        lines.append(f"{name:<12}{(cls.__doc__ or '').strip()}")
        if missing := cls.missing():
            lines += [f"{'':<12}not on this machine: {one.name}; {one.remedy}" for one in missing]
        else:
            found = ", ".join(filter(None, (one.find() for one in cls.needs)))
            lines.append(f"{'':<12}here: {found or 'all that it needs'}")
        if cls.linked:
            lines.append(f"{'':<12}link proxies, without namespaces: between {cls.linked}")
    return "\n".join(lines)
