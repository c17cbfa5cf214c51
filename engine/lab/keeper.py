"""`python -m engine.lab.keeper`: the process that holds a lab together, and ends it when it ends.

It reads one line of JSON: {"name", "folder", "state", "system": {name: parameters} or null, "names": [nodes],
"root": bool}. It holds the descriptors of the namespaces, starts the switch and then the system, writes the
lab's record and says `ready`. It ends on SIGTERM; where it is killed, the switch ends what it has started.
A switch that dies is started again: what it disturbed is over then. Its input is left open: whoever wants
the lab to end with them keeps it open, and says so with {"leash": true}.
"""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import state
from engine.errors import EngineError
from engine.lab import namespaces, records, segment
from engine.lab.records import Record
from engine.lab.segment import CLIENTS, Segment
from engine.lab.spaces import driver, space
from engine.parameters import build
from engine.processes import identity
from engine.switch.server import READY

SOCKET, COMES_UP = "switch.sock", 20.0


class _Over(Exception):
    pass


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _over)
    try:
        _keep(spec)
    except _Over:
        return 0
    except (EngineError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 1
    return 0


def _over(*_: Any) -> None:
    raise _Over


def _keep(spec: dict[str, Any]) -> None:
    owner = os.geteuid(), os.getegid()
    if why := namespaces.why_not(spec["root"]):
        raise EngineError(why)
    if not spec["root"]:
        namespaces.become_root_of_my_own()
    built = segment.build(Path(spec["folder"]), spec["names"], spec["root"])
    record = _record(spec, built, owner)
    records.write(record)
    switch = _Switch(built)
    try:
        namespaces.enter(next(seat.space for seat in built.seats if seat.name == CLIENTS))
        documents = _bring_up(spec, record)
        records.write(Record(**{**vars(record), "ready": True, "documents": documents}))
        print("ready", flush=True)
        switch.mind(bool(spec.get("leash")))
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        namespaces.empty(record.networks.values(), but=switch.pid)
        Path(record.folder, records.FILE).unlink(missing_ok=True)
        switch.end()


def _record(spec: dict[str, Any], built: Segment, owner: tuple[int, int]) -> Record:
    seats = {seat.name: {"address": seat.address, "space": seat.space} for seat in built.seats}
    system = next(iter(spec["system"] or {}), "")
    return Record(
        spec["name"], spec["folder"], system, spec["root"], owner, identity(os.getpid()), built.network,
        built.networks, seats,
    )  # fmt: skip


def _bring_up(spec: dict[str, Any], record: Record) -> list[dict[str, Any]]:
    """Starts the system in its places; its services as they are registered."""
    if not spec["system"]:
        return []
    from engine.lab.cluster import Cluster
    from engine.lab.systems import REGISTRY

    name, params = next(iter(spec["system"].items()))
    system = build(REGISTRY.get(name, "system"), params, "system")
    places = [space(record, name) for name in spec["names"]]
    cluster = Cluster(
        system, Path(record.folder, "system"), Path(spec["state"]), name=record.name, places=places
    )
    cluster.start()
    documents = cluster.documents()
    for node in (node for document in documents for node in document["nodes"]):
        node["driver"] = driver(record, node["driver"])
    return documents


class _Switch:
    """The switch as a child, started again when it dies."""

    def __init__(self, built: Segment) -> None:
        self._built = built
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _start(self) -> None:
        built = self._built
        environ = {**os.environ, state.OWNER: str(built.folder), state.PART: "switch"}
        with open(built.folder / "switch.log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.switch.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, env=environ, start_new_session=True, cwd=Path(__file__).resolve().parents[2],
                pass_fds=[built.hub, *(seat.space for seat in built.seats)],
            )  # fmt: skip
        spec = {
            "path": str(built.folder / SOCKET), "hub": built.hub, "networks": list(built.networks.values()),
            "ports": [
                {"name": s.name, "device": s.device, "mac": s.mac, "far": s.far, "space": s.space}
                for s in built.seats
            ],
        }  # fmt: skip
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(spec).encode() + b"\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], COMES_UP)
        if not ready or os.read(self._process.stdout.fileno(), len(READY)) != READY:
            raise EngineError("The lab's switch did not come up.", f"See {built.folder / 'switch.log'}.")

    def mind(self, leash: bool) -> None:
        """Until the keeper is told to end, or its leash is let go."""
        while True:
            assert self._process.stdout
            watched = [self._process.stdout.fileno(), *([0] if leash else [])]
            for fd in select.select(watched, [], [])[0]:
                if os.read(fd, 4096):
                    continue
                if fd == 0:
                    return
                self._process.wait()
                self._start()

    def end(self) -> None:
        self._process.kill()
        with suppress(OSError):
            self._process.wait()


if __name__ == "__main__":
    sys.exit(main())
