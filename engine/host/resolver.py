"""Where the programs of a host or a container ask for names: its resolv.conf, and ours laid over it."""

import contextlib
import ipaddress
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from engine import state
from engine.errors import Refused
from engine.host import mounts

PATH = "/etc/resolv.conf"
PROGRAMS = ("unshare", "mount", "sh")
_MOST = 3  # name servers that libc asks
_SCRIPT = '"$1" --bind "$2" "$3" && shift 3 && exec "$@"'


def root_of(pid: int) -> str:
    """The root directory of `pid`, as we see it; "" is our own."""
    return "" if pid == os.getpid() else f"/proc/{pid}/root"


def target(pid: int) -> str:
    """The real path of the resolv.conf of `pid`, as it sees it. Raises Refused where it can have none."""
    found = mounts.within(root_of(pid), PATH)
    if not os.path.isdir(root_of(pid) + os.path.dirname(found)):
        raise Refused(f"{PATH} leads to {found}, whose directory is missing.", "Repair the link first.")
    return found


def read(pid: int, path: str) -> str | None:
    """What it says; None where it is missing."""
    try:
        return Path(root_of(pid) + path).read_text(errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}.") from None


def servers(text: str | None) -> list[str]:
    """The name servers of a resolv.conf; where it names none, libc asks this host."""
    words = [line.split() for line in (text or "").splitlines()]
    found = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return found[:_MOST] or ["127.0.0.1"]


def ours(text: str | None, address: str, mark: str) -> str:
    """The file with our name server in it; what else it says stays, such as search domains."""
    kept = [line for line in (text or "").splitlines() if line.split()[:1] != ["nameserver"]]
    return "\n".join([f"# chaosboard {mark}", *kept, f"nameserver {address}", ""])


def file(mark: str) -> Path:
    return state.root() / "dns" / f"{mark}.conf"


def lay(mark: str, text: str) -> Path:
    file(mark).parent.mkdir(parents=True, exist_ok=True)
    file(mark).write_text(text)
    file(mark).chmod(0o644)
    return file(mark)


def before(mark: str, path: str) -> list[str]:
    """The command that goes before that of a process, so that ours lies over `path` for it alone."""
    unshare, mount, sh = (shutil.which(name) or name for name in PROGRAMS)
    return [unshare, "--mount", "--propagation", "slave", sh, "-c", _SCRIPT, "sh", mount,
            str(file(mark)), path]  # fmt: skip


def make(pid: int, path: str) -> None:
    """Makes an empty file to lay ours over; to a program it is as good as none."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(root_of(pid) + path, os.O_CREAT | os.O_EXCL, 0o644))


def unmake(pid: int, path: str) -> None:
    """Removes what `make` made, unless somebody has written to it since."""
    with contextlib.suppress(OSError):
        if os.path.getsize(root_of(pid) + path) == 0:
            os.unlink(root_of(pid) + path)


def refuse_covered(path: str) -> None:
    """Raises Refused where something is laid over our own resolv.conf already."""
    over = [mount.source for mount in mounts.table(os.getpid()) if mount.target == path]
    if over:
        raise Refused(
            f"{over[-1]} is mounted over {path} already, and is not ours to cover.",
            "Unmount it, or choose the scope process.",
        )


def own_names(environ: Mapping[str, str]) -> list[str]:
    """The host names that chaosboard itself has to look up, as `REDIS_URL needs redis.example`."""
    wanted = {
        key: value for key, value in environ.items()
        if key in ("REDIS_URL", "DATABASE_URL") or key.startswith("CHAOSBOARD_")
    }  # fmt: skip
    return [f"{key} needs {host}" for key, value in wanted.items() if (host := _host(value))]


def _host(value: str) -> str:
    """The host of an address that must be looked up; "" for a number, for localhost and for no address."""
    try:
        host = urlsplit(value).hostname or ""
    except ValueError:
        return ""
    if not host or host == "localhost" or host.startswith("%2f"):
        return ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return ""
