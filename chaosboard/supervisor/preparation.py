"""What must be so before anything is started; each refusal is one clear line with its remedy."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import psutil

from chaosboard import ports, processes
from chaosboard.supervisor.part import last_words
from engine import proxy
from engine.errors import EngineError

OLDEST, NEWEST = (3, 11), (3, 13)


class CannotStart(Exception):
    """The text says why, and what to do."""


def check_python() -> None:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        here = ".".join(map(str, sys.version_info[:3]))
        raise CannotStart(
            f"chaosboard runs on Python 3.11 to 3.13, and this is {here}: set PYTHON= to one of those."
        )


def make_state(state: Path) -> None:
    try:
        state.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=state):
            pass
    except OSError as error:
        raise CannotStart(
            f"{state} cannot be written ({error.strerror}): change its owner, "
            "or set CHAOSBOARD_STATE= to a directory of yours."
        ) from None
    try:
        proxy.path(state)
    except EngineError as error:
        raise CannotStart(str(error)) from None


def take_lock(state: Path, url: str) -> IO[str]:
    """Holds the state directory for this supervisor until the file is closed."""
    lock = (state / "supervisor.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        other = _read(lock)
        lock.close()
        raise CannotStart(
            f"chaosboard runs already on {state}: {other.get('url', 'still starting')} "
            f"(pid {other.get('pid', 'unknown')}). Stop it with Ctrl-C where it runs, "
            "or give this one its own CHAOSBOARD_STATE= and PORT=."
        ) from None
    lock.truncate(0)
    lock.write(json.dumps({"pid": os.getpid(), "url": url}))
    lock.flush()
    (state / "supervisor.pid").write_text(f"{os.getpid()}\n")
    return lock


def _read(lock: IO[str]) -> dict[str, Any]:
    try:
        return dict(json.load(lock))
    except ValueError:
        return {}


def check_port(host: str, port: int) -> None:
    if not 0 < port < 65536:
        raise CannotStart(f"PORT={port} is not a port: choose one from 1 to 65535.")
    try:
        socket.getaddrinfo(host, port)
    except OSError:
        raise CannotStart(f"HOST={host} is not an address of this machine.") from None
    if not ports.free(port, host):
        by = ports.holder(port)
        held = f"is held by {by}" if by else "cannot be had (held by another user, or not allowed)"
        raise CannotStart(f"Port {port} on {host} {held}: stop that, or choose another with PORT=.")


def allowed_hosts(host: str) -> str:
    """The names by which the pages may be asked for: the machine's own, as far as it listens on them."""
    names = {"localhost", "127.0.0.1", "[::1]"}
    if host in ("0.0.0.0", "::"):
        families = (socket.AF_INET, socket.AF_INET6)
        found = [a for group in psutil.net_if_addrs().values() for a in group if a.family in families]
        addresses = {a.address.partition("%")[0] for a in found} | {socket.gethostname(), socket.getfqdn()}
    else:
        addresses = {host}
    return ",".join(sorted(names | {f"[{a}]" if ":" in a else a for a in addresses}))


def clear_leftovers(state: Path, home: Path) -> list[str]:
    """Heals and stops what an earlier supervisor, killed without warning, left running; says so."""
    lines = []
    if any((state / "undo").glob("*.json")):
        healed, problem = heal(state, home)
        lines += [f"Healed {healed} that an earlier start left behind."] if healed else []
        lines += [problem] if problem else []
    left = processes.marked(state)
    if left:
        names = sorted({processes.part(p) or p.name() for p in left if processes.alive(p)})
        stuck = processes.stop(left)
        lines.append(f"Stopped {len(left)} processes that an earlier start left behind: {', '.join(names)}.")
        lines += [f"Could not stop {ports.describe(p.pid)}: stop it by hand." for p in stuck]
    return lines


def heal(state: Path, home: Path) -> tuple[int, str]:
    """How many faults were healed, and what could not be healed, in words."""
    command = [sys.executable, "-m", "engine", "heal", "--all", "--json", "--state", str(state)]
    try:
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return 0, "Healing did not end within 60 s; run `python -m engine heal --all`."
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return 0, f"Healing failed: {last_words(done.stderr)}"
    return count_healed(found)


def count_healed(found: list[dict[str, str]]) -> tuple[int, str]:
    bad = [f"{one['fault']} is {one['state']}: {one['text']}" for one in found if one["state"] != "clean"]
    return len(found) - len(bad), f"Not healed: {'; '.join(bad)}" if bad else ""


def prepare_database(home: Path, environ: dict[str, str]) -> str | None:
    """Brings the tables up to date; the administrator's password if one was just made."""
    command = [sys.executable, "-m", "chaosboard.supervisor.database"]
    done = subprocess.run(command, cwd=home, env={**os.environ, **environ}, capture_output=True, text=True)
    if done.returncode:
        raise CannotStart(f"The database could not be prepared: {last_words(done.stderr)}")
    password = json.loads(done.stdout.strip().splitlines()[-1])["password"]
    return str(password) if password else None
