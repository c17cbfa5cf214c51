"""A system on this machine's loopback: for where namespaces are not allowed, with link proxies where they help."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import document, owned, processes, proxy, state
from engine.errors import EngineError, Refused, Unreachable
from engine.lab import records
from engine.lab.cluster import GRACE, Cluster, servers_in
from engine.lab.links import is_proxy
from engine.lab.systems import REGISTRY, System
from engine.parameters import build

LOOK = 1.0  # seconds between two looks at the servers
ENDS = 20.0  # seconds for a command that is told to end to stop its servers
FILE = "loopback.json"  # in the folder of the lab, as long as it is there


def up(root: Path, name: str, kind: str, params: dict[str, Any], *, linked: bool) -> None:
    """Brings a system up, tells where it is, and keeps it until it is interrupted; raises EngineError."""
    system: System = build(REGISTRY.get(kind, "system"), params, "system")
    here = records.folder(root) / name
    if any(one["name"] == name for one in all_of(root)) or (here / records.FILE).exists():
        raise Refused(f"A lab called {name} is there already.", f"End it: python -m engine lab down {name}")
    cluster = Cluster(system, here / "loopback", root, name=name, linked=linked)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a shell that put it into the background has SIGINT ignored
        signal.signal(number, _interrupted)
    told = {"name": name, "system": kind, "directory": str(cluster.directory), "linked": linked,
            "command": processes.identity(os.getpid()), "proxy": False, "links": []}  # fmt: skip
    state.write(here / FILE, told)
    try:
        cluster.start()
        links = cluster.site.links
        opened = [door.listen for door in links.doors] if links else []
        state.write(here / FILE, {**told, "links": opened, "proxy": bool(links and links.started)})
        _tell(cluster)
        while True:
            time.sleep(LOOK)
    except KeyboardInterrupt:
        print("Stopping it.", flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with suppress(KeyboardInterrupt):
            cluster.stop()
        (here / FILE).unlink(missing_ok=True)


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def all_of(root: Path) -> list[dict[str, Any]]:
    """What is known of the labs on loopback, also of those whose command was killed."""
    found = (state.read(path) for path in sorted(records.folder(root).glob(f"*/{FILE}")))
    return [one for one in found if one]


def alive(told: dict[str, Any]) -> bool:
    """Whether the command that keeps it is there."""
    return processes.status(told["command"]) != "gone"


def down(root: Path, told: dict[str, Any]) -> None:
    """Ends it: by its command, and where that was killed, by the marks of its servers. Raises EngineError."""
    if alive(told):
        with suppress(ProcessLookupError):
            os.kill(told["command"]["pid"], signal.SIGTERM)
    end = time.monotonic() + ENDS
    while alive(told):
        if time.monotonic() > end:
            raise EngineError(f"The command of the lab {told['name']} does not end.", "End it by hand.")
        time.sleep(0.02)
    owned.stop(servers_in(Path(told["directory"])), grace=GRACE)
    _close(root, told)
    (records.folder(root) / told["name"] / FILE).unlink(missing_ok=True)


def _close(root: Path, told: dict[str, Any]) -> None:
    """Its links, and the link proxy where it was started for them and has no others."""
    try:
        for listen in told["links"]:
            with suppress(EngineError):
                proxy.call(root, {"do": "close", "listen": listen})
        if told["proxy"] and not proxy.call(root, {"do": "hello"})["links"]:
            owned.stop(p for p in owned.marked(root) if is_proxy(p))
    except Unreachable:
        return  # no proxy, no links


def _tell(cluster: Cluster) -> None:
    print(f"{cluster.name} is up on loopback.")
    for server in cluster.servers:
        behind = f" before {server.behind}" if server.behind not in ("", server.address) else ""
        print(f"  {server.name:<10}{server.address}{behind}, pid {server.pid}")
    if cluster.site.links:
        print(f"Link proxies are between {cluster.system.linked}.")
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
        lines.append(f"{'':<12}link proxies, without namespaces: between {cls.linked}")
    return "\n".join(lines)
