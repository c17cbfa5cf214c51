"""What systemd says of a unit, and orders to it, through `systemctl`."""

import os
import shutil
import subprocess
from pathlib import Path

from engine.errors import EngineError, Unreachable

GROUPS = Path("/sys/fs/cgroup")
SHOWN = (
    "Id", "LoadState", "ActiveState", "SubState", "MainPID", "ControlGroup", "FreezerState",
    "CPUQuotaPerSecUSec", "MemoryMax", "DropInPaths",
)  # fmt: skip
PATIENCE = 60.0  # seconds for an order, as a start that waits for the unit to be ready
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


def absent(user: bool) -> str:
    """Why systemd cannot be spoken to on this host; "" where it can be."""
    if not shutil.which("systemctl"):
        return "There is no systemctl on this host."
    if not user and not Path("/run/systemd/system").is_dir():
        return "This host was not booted with systemd."
    return ""


def order(user: bool, *arguments: str) -> str:
    """What `systemctl ARGUMENTS` prints. Raises Unreachable where systemd does not answer, else EngineError."""
    if why := absent(user):
        raise Unreachable(why, "Use the process driver.")
    command = ["systemctl", "--no-pager", "--no-ask-password", *(["--user"] if user else []), *arguments]
    environ = {**os.environ, "LC_ALL": "C"}
    environ.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"systemctl {arguments[0]} did not end within {PATIENCE:g} s.") from None
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        kind = Unreachable if "connect to bus" in done.stderr else EngineError
        raise kind(f"systemctl {' '.join(arguments)} failed: {words[0].rstrip('.')}.")
    return done.stdout


def show(user: bool, unit: str) -> dict[str, str]:
    """The properties of SHOWN; for a unit that is not there, LoadState is not-found."""
    return parse(order(user, "show", f"--property={','.join(SHOWN)}", "--", unit))


def parse(printed: str) -> dict[str, str]:
    found = dict.fromkeys(SHOWN, "")
    found.update(line.partition("=")[::2] for line in printed.splitlines() if "=" in line)
    return found


def pids(group: str) -> list[int]:
    """The processes of a control group and those within it, on cgroup v2 or v1."""
    for root in (GROUPS, GROUPS / "systemd", GROUPS / "unified"):
        folder = root / group.lstrip("/")
        if group.strip("/") and (folder / "cgroup.procs").exists():
            files = [folder / "cgroup.procs", *folder.glob("**/*/cgroup.procs")]
            return [int(pid) for file in files for pid in _lines(file)]
    return []


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []  # the group went away meanwhile


def unified() -> bool:
    """Whether this host has cgroup v2 alone."""
    return (GROUPS / "cgroup.controllers").exists()


def freezable(group: str) -> bool:
    """Whether the kernel freezes the group as a whole: on cgroup v2."""
    return (GROUPS / group.strip("/") / "cgroup.freeze").exists()


def quota(shown: str) -> str:
    """CPUQuota= as a unit file has it, from how CPUQuotaPerSecUSec is shown: `200ms`, `1s 500ms`, `infinity`."""
    if shown in ("", "infinity"):
        return ""
    seconds = 0.0
    for part in shown.split():
        number = part.rstrip("abcdefghijklmnopqrstuvwxyz")
        seconds += float(number) * _UNITS[part[len(number) :]]
    return f"{seconds * 100:.6g}%"
