"""The labs of a state directory: brought up, looked at, taken down; and what dead ones left is cleared away."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import state
from engine.errors import BadInput, EngineError, Problem, Refused
from engine.lab import namespaces, records, segment
from engine.lab.records import Record
from engine.processes import status
from engine.proxy import LONGEST

COMES_UP = 120.0  # seconds for the slowest system to serve
ENDS = 15.0  # seconds for a lab to be gone
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


def up(
    root: Path, name: str, system: Mapping[str, Any] | None, names: Sequence[str], *, with_root: bool,
    leash: bool = False,
) -> "tuple[Record, subprocess.Popen[bytes]]":  # fmt: skip
    """Brings a lab up and waits until it serves: its record, and the keeper of the lab.

    It stays up when this process ends; with `leash`, it ends with it, or when the keeper's input is closed.
    Raises EngineError.
    """
    clear(root)
    folder = _fresh(root, name)
    told = {"name": name, "folder": str(folder), "state": str(root), "system": system, "names": list(names),
            "root": with_root, "leash": leash}  # fmt: skip
    with open(folder / "keeper.log", "ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "engine.lab.keeper"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            env={**os.environ, state.OWNER: str(root), state.PART: "lab"}, start_new_session=True,
            cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
    assert keeper.stdin
    keeper.stdin.write(json.dumps(told).encode() + b"\n")
    keeper.stdin.flush()
    if not leash:
        keeper.stdin.close()
    return _awaited(keeper, folder), keeper


def _fresh(root: Path, name: str) -> Path:
    """An empty folder for the lab `name`; raises BadInput or Refused."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            [Problem("--name", f"{name!r} is no name for a lab: small letters, digits and dashes")]
        )
    folder = records.folder(root) / name
    if len(os.fsencode(folder / "switch.sock")) > LONGEST:
        raise Refused(
            f"The path of the lab is too long for a socket in it: {folder}.", "Set CHAOSBOARD_STATE."
        )
    if (found := records.read(folder)) and found.alive:
        raise Refused(f"A lab called {name} is up already.", f"End it: python -m engine lab down {name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _awaited(keeper: "subprocess.Popen[bytes]", folder: Path) -> Record:
    assert keeper.stdout
    ready, _, _ = select.select([keeper.stdout], [], [], COMES_UP)
    said = keeper.stdout.readline() if ready else b""
    record = records.read(folder)
    if said == b"ready\n" and record:
        return record
    keeper.terminate()
    with suppress(ValueError, KeyError):
        raise EngineError(json.loads(said)["error"])
    raise EngineError("The lab did not come up.", f"See {folder / 'keeper.log'}.")


def down(record: Record) -> None:
    """Ends a lab and all that runs in it; raises EngineError where something of it is left."""
    if record.alive:
        os.kill(record.keeper["pid"], signal.SIGTERM)
    end = time.monotonic() + ENDS
    while record.alive:
        if time.monotonic() > end:
            os.kill(record.keeper["pid"], signal.SIGKILL)
            break
        time.sleep(0.02)
    _clear(record)


def clear(root: Path) -> list[str]:
    """Takes away what dead labs have left; the names of those labs."""
    dead = [record for record in records.all_of(root) if not record.alive]
    for record in dead:
        _clear(record)
    return [record.name for record in dead]


def _clear(record: Record) -> None:
    """Of a lab whose keeper is dead. With its processes go its namespaces, and with these its cables."""
    end = time.monotonic() + namespaces.ENDS
    while found := left(record):
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            raise EngineError(f"pid {found[0]} of the lab {record.name} would not end.", "End it by hand.")
        time.sleep(0.01)
    Path(record.folder, records.FILE).unlink(missing_ok=True)


def left(record: Record) -> list[int]:
    """The processes that live in the lab's namespaces, read from the machine."""
    found = namespaces.inhabitants(record.networks.values())
    return [
        one["pid"] for one in found
        if status(one) != "gone" and segment.carries(one["pid"], Path(record.folder))
    ]  # fmt: skip
