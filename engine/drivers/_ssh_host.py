"""Logging in to another host by SSH, and bringing the engine there."""

import getpass
import json
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.drivers._bundle import bundle, portable
from engine.errors import EngineError, Unreachable

CONNECTS = 10.0  # seconds to connect, and again to log in
KEEPALIVE = 2  # seconds between two signs of life; three that are missed end the connection
LEAST = (3, 11)  # the oldest Python that the engine runs on
KNOWN_HOSTS = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")

LOOK = """
import json, os, platform, sys
folder = os.path.expanduser(sys.argv[1])
try:
    import psutil
    there = True
except ImportError:
    there = False
print(json.dumps({
    "version": list(sys.version_info[:2]), "psutil": there, "folder": os.path.abspath(folder),
    "like": [sys.platform, platform.machine(), platform.libc_ver()[0]],
    "kept": os.listdir(folder) if os.path.isdir(folder) else [],
}))
"""

UNPACK = """
import os, shutil, sys, tarfile, tempfile
folder, name = sys.argv[1:]
os.makedirs(folder, mode=0o700, exist_ok=True)
scratch = tempfile.mkdtemp(prefix=".", dir=folder)
try:
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|gz") as tar:
        tar.extractall(scratch)
    os.rename(scratch, os.path.join(folder, name))
except OSError:
    shutil.rmtree(scratch, ignore_errors=True)
    if not os.path.isdir(os.path.join(folder, name)):
        raise
"""


@dataclass(frozen=True)
class Place:
    """Where the engine runs, and how it is reached; the driver's parameters."""

    host: str
    port: int
    user: str
    key: str
    known_hosts: str
    python: str
    folder: str

    def __str__(self) -> str:
        return self.host if self.port == 22 else f"{self.host}:{self.port}"


async def connect(place: Place) -> Any:
    asyncssh = library()
    how: dict[str, Any] = {"username": place.user} if place.user else {}
    if place.key:
        how |= {"client_keys": [str(_file(place.key, "key", place))], "agent_path": None}
    known, where = _known(place)
    try:
        return await asyncssh.connect(
            place.host, place.port, known_hosts=known, preferred_auth="publickey", connect_timeout=CONNECTS,
            login_timeout=CONNECTS, keepalive_interval=KEEPALIVE, keepalive_count_max=3, **how,
        )  # fmt: skip
    except asyncssh.HostKeyNotVerifiable:
        raise Unreachable(*_unknown_key(place, known, where)) from None
    except asyncssh.PermissionDenied:
        user = place.user or getpass.getuser()
        raise Unreachable(
            f"{place} does not let {user} in: no key was accepted.",
            f"Add the public key to ~{user}/.ssh/authorized_keys there, or name another user or key.",
        ) from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise Unreachable(f"The key {place.key or 'for ' + str(place)} cannot be used: {error}.") from None
    except (OSError, TimeoutError, asyncssh.Error) as error:
        why = str(error) or f"no answer within {CONNECTS:g} s"
        raise Unreachable(f"{place} cannot be reached by SSH: {why}.", "Is it up, and sshd there?") from None


def _known(place: Place) -> tuple[Any, str]:
    """The host keys that are known, and the file in which a new one would be written."""
    asyncssh = library()
    if place.known_hosts:
        files = [_file(place.known_hosts, "known_hosts", place)]
    else:
        files = [path for name in KNOWN_HOSTS if (path := Path(name).expanduser()).exists()]
    try:
        found = (
            asyncssh.read_known_hosts([str(f) for f in files]) if files else asyncssh.import_known_hosts("")
        )
    except (OSError, ValueError) as error:
        raise Unreachable(f"{files[0]} cannot be read as known hosts: {error}.") from None
    return found, place.known_hosts or KNOWN_HOSTS[0]


def _file(name: str, what: str, place: Place) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise Unreachable(f"{name}, the {what} of the ssh driver for {place}, is not there.")
    return path


def _unknown_key(place: Place, known: Any, where: str) -> tuple[str, str]:
    if known.match(place.host, "", place.port if place.port != 22 else None)[0]:
        return (
            f"{place} shows another host key than the one in {where}.",
            "It was set up anew, or somebody stands between; put the right key there, if it is right.",
        )
    return (
        f"The host key of {place} is not known: it is not in {where}.",
        f"Compare its fingerprint, then add it: ssh-keyscan -p {place.port} {place.host} >> {where}",
    )


async def start(connection: Any, place: Place) -> Any:
    """Copies the engine there, if it is not there yet, and starts it."""
    found = await _look(connection, place)
    name, content = bundle(_lacks_psutil(found, place))
    if name not in found["kept"]:
        await _python(connection, place, UNPACK, found["folder"], name, input=content)
    folder = f"{found['folder']}/{name}"
    command = [place.python, "-m", "engine.far", "--state", f"{found['folder']}/state"]
    return await connection.create_process(
        f"cd {shlex.quote(folder)} && exec env CHAOSBOARD_PART=far {shlex.join(command)}"
    )


async def _look(connection: Any, place: Place) -> dict[str, Any]:
    said = await _python(connection, place, LOOK, place.folder)
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])  # a login may greet before
    if tuple(found["version"]) < LEAST:
        version = ".".join(map(str, found["version"]))
        raise Unreachable(
            f"{place.python} on {place} is Python {version}; the engine needs 3.11 or newer.",
            "Install one there, and name it as python of the ssh driver.",
        )
    return found


def _lacks_psutil(found: dict[str, Any], place: Place) -> bool:
    """Whether ours must be copied; raises Unreachable where it would not run there."""
    if found["psutil"]:
        return False
    like = [sys.platform, platform.machine(), platform.libc_ver()[0]]
    version = (int(found["version"][0]), int(found["version"][1]))
    if found["like"] != like or not portable(version, sys.version_info[:2]):
        raise Unreachable(
            f"{place} has no psutil, and is another kind of machine than this one "
            f"({' '.join(found['like'])}, not {' '.join(like)}).",
            "Install it there: apt-get install python3-psutil, or pip install psutil.",
        )
    return True


async def _python(connection: Any, place: Place, script: str, *arguments: str, input: bytes = b"") -> str:
    command = shlex.join([place.python, "-c", script, *arguments])
    done = await connection.run(command, input=input, encoding=None)
    words = done.stderr.decode(errors="replace").strip().splitlines()
    if done.exit_status == 127:
        raise Unreachable(
            f"There is no {place.python} on {place}.", "Install Python 3.11 or newer there, or name its path."
        )
    if done.exit_status != 0:
        raise Unreachable(f"{place} did not take the engine: {words[-1] if words else 'no reason given'}.")
    return str(done.stdout.decode())


def library() -> Any:
    try:
        import asyncssh
    except ImportError:
        raise EngineError("asyncssh is not installed on this host.", "pip install asyncssh") from None
    return asyncssh
