"""Control groups, v1, v2 and mixed: processes are put into a group of ours, limited there, and put back.

Our groups are called `chaosboard-<mark>`. In v1 ours is made below the group of the main process; in v2,
where only leaves hold processes, beside it (below it at the top), and takes over what limits that one.

A group counts the memory that is asked for inside it; what its processes hold already stays with the
group that they came from. So a limit of memory is what they hold plus what they may still get.
"""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from engine.errors import EngineError, Refused
from engine.host import hierarchies
from engine.host.hierarchies import NAME

CONTROLLERS = ("cpu", "memory")
PERIOD = 100_000  # microseconds over which computing time is counted
LEAST_QUOTA = 1_000  # microseconds; the kernel takes no less
LEAST_MEMORY = 2**20
PATIENCE = 5.0  # seconds in which a group that forks must be caught, or emptied
CARRIED = ("cpu.weight", "cpu.max", "memory.max", "memory.high", "memory.swap.max")  # from a group of v2
UNLIMITED = {  # what a group of v2 says where nothing is set
    "cpu.max": f"max {PERIOD}", "cpu.weight": "100", "memory.max": "max", "memory.high": "max",
    "memory.low": "0", "memory.min": "0", "memory.swap.max": "max",
}  # fmt: skip
Captured = dict[str, Any]


def available() -> str:
    """Why no group can be made around a process like this one; "" where it can."""
    if sys.platform != "linux":
        return "Only Linux has control groups."
    try:
        bases = capture([os.getpid()])["bases"].values()
    except EngineError as error:
        return str(error)
    return next(filter(None, map(_closed, bases)), "")


def _closed(base: str) -> str:
    if os.statvfs(base).f_flag & os.ST_RDONLY:
        return f"{base} is mounted read-only, so no control group can be made; that is usual in containers."
    if not (os.access(base, os.W_OK) and os.access(f"{base}/cgroup.procs", os.W_OK)):
        return (
            f"No control group can be made in {base}: it belongs to root and is not delegated to this user."
        )
    return ""


def capture(pids: list[int]) -> Captured:
    """Which groups the processes are in, the main one first, and where ours would be. Raises Refused.

    `off` are the groups of v2 that do not hand the controller to their children, the outermost first.
    """
    groups = {str(pid): {c: str(p) for c in CONTROLLERS if (p := hierarchies.place(pid, c))} for pid in pids}
    main = groups[str(pids[0])]
    if not main:
        raise Refused(f"No control group of pid {pids[0]} limits computing time or memory.")
    bases = {c: str(hierarchies.base(Path(group))) for c, group in main.items()}
    off = {c: hierarchies.off(Path(base), c) for c, base in bases.items()}
    return {"main": main, "groups": groups, "bases": bases, "off": off}


def limit(
    captured: Captured, mark: str, pids: Callable[[], set[int]], cpu: float | None, memory: int | None
) -> None:
    """Puts all `pids()` into groups of ours: `cpu` in processors, `memory` in bytes. Raises EngineError."""
    wanted = {"cpu": cpu, "memory": memory if memory is None else memory - _held(pids())}
    for controller, amount in wanted.items():
        if amount is None:
            continue
        if controller not in captured["bases"]:
            raise Refused(f"This host has no control groups that limit {controller}.")
        if controller == "memory" and amount < LEAST_MEMORY:
            raise Refused(
                "It holds more memory than that already, and a new control group cannot take it away.",
                "Allow more than it holds now.",
            )
        group = _make(captured, controller, mark)
        _limit(group, controller, amount)
        _fill(group, pids)


def unlimit(captured: Captured, mark: str) -> None:
    """Puts all that is in groups of ours back to where it was, and removes them. Idempotent."""
    for group in _found(mark):
        for controller, base in captured["bases"].items():
            if str(group.parent) == base:
                _empty(group, captured, controller)
        counted = hierarchies.counted_by(group)
        _remove(group)
        for controller in counted:
            _switch_off(controller, captured["off"].get(controller, []))


def _switch_off(controller: str, groups: list[str]) -> None:
    """Takes the controller of v2 from the children again where we gave it to them, unless one uses it by now."""
    for group in map(Path, reversed(groups)):
        if not any(_limits(child, controller) for child in group.iterdir() if child.is_dir()):
            with contextlib.suppress(EngineError):
                _write(group / "cgroup.subtree_control", f"-{controller}")


def _limits(group: Path, controller: str) -> bool:
    """Whether a group of v2 sets anything of the controller: another fault's, or a service's."""
    files = (group / name for name in UNLIMITED if name.startswith(f"{controller}."))
    return any(file.exists() and hierarchies.read(file).strip() != UNLIMITED[file.name] for file in files)


def astray(captured: Captured, pids: list[int]) -> list[int]:
    """Those of the captured `pids` that are in other groups than they were."""
    return [
        pid
        for pid in pids
        for controller, group in captured["groups"][str(pid)].items()
        if hierarchies.place(pid, controller) not in (Path(group), None)
    ]


def remove(mark: str) -> None:
    """Removes groups of ours whose processes are dead."""
    for group in _found(mark):
        _remove(group)


def left(mark: str) -> list[str]:
    """The groups that carry our name and `mark`."""
    return [str(group) for group in _found(mark)]


@contextlib.contextmanager
def around(mark: str, memory: int) -> Iterator[None]:
    """This process may hold at most `memory` bytes, where a group for it can be had without any change."""
    captured: Captured | None = None
    with contextlib.suppress(EngineError):
        captured = capture([os.getpid()])
        if not available() and not captured["off"].get("memory"):
            limit(captured, mark, lambda: {os.getpid()}, None, memory)
    try:
        yield
    finally:
        if captured:
            unlimit(captured, mark)


def _make(captured: Captured, controller: str, mark: str) -> Path:
    for group in captured["off"].get(controller, ()):
        _write(Path(group, "cgroup.subtree_control"), f"+{controller}")
    made = Path(captured["bases"][controller], NAME + mark)
    try:
        made.mkdir()
    except FileExistsError:  # made for the other controller of the same hierarchy
        return made
    except OSError as error:
        raise Refused(f"The control group {made} cannot be made: {error.strerror}.") from None
    before = Path(captured["main"][controller])
    for name in CARRIED if hierarchies.is_v2(made) and before != made.parent else ():
        if (before / name).exists() and (made / name).exists():
            _write(made / name, hierarchies.read(before / name))
    return made


def _limit(group: Path, controller: str, amount: float) -> None:
    """Sets the limit, unless a stricter one was taken over."""
    quota = max(LEAST_QUOTA, round(amount * PERIOD))
    if not hierarchies.is_v2(group) and controller == "cpu":
        _write(group / "cpu.cfs_period_us", str(PERIOD))
        _write(group / "cpu.cfs_quota_us", str(quota))
    elif not hierarchies.is_v2(group):
        _write(group / "memory.limit_in_bytes", str(int(amount)))
    elif controller == "cpu":
        most, period = hierarchies.read(group / "cpu.max").split()
        if most == "max" or int(most) / int(period) > quota / PERIOD:
            _write(group / "cpu.max", f"{quota} {PERIOD}")
    else:
        most = hierarchies.read(group / "memory.max").strip()
        if most == "max" or int(most) > amount:
            _write(group / "memory.max", str(int(amount)))


def _held(pids: set[int]) -> int:
    """The bytes of memory that processes hold, what they share counted once."""
    held = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            held += int(psutil.Process(pid).memory_full_info().pss)
    return held


def _fill(group: Path, pids: Callable[[], set[int]]) -> None:
    """Until none is outside: what is not in yet may fork meanwhile."""
    end = time.monotonic() + PATIENCE
    while outside := pids() - _members(group):
        if time.monotonic() > end:
            raise EngineError(f"pid {min(outside)} could not be put into the control group {group}.")
        for pid in outside:
            _enter(group, pid)


def _empty(group: Path, captured: Captured, controller: str) -> None:
    end = time.monotonic() + PATIENCE
    while inside := _members(group):
        if time.monotonic() > end:
            raise EngineError(f"pid {min(inside)} could not be taken out of the control group {group}.")
        for pid in inside:
            home = Path(captured["groups"].get(str(pid), {}).get(controller) or captured["main"][controller])
            home.mkdir(parents=True, exist_ok=True)  # an empty one may have been cleared away meanwhile
            _enter(home, pid)


def _members(group: Path) -> set[int]:
    return {int(pid) for pid in hierarchies.read(group / "cgroup.procs").split()}


def _enter(group: Path, pid: int) -> None:
    try:
        (group / "cgroup.procs").write_text(str(pid))
    except ProcessLookupError:
        return  # it has ended
    except OSError as error:
        raise EngineError(
            f"pid {pid} could not be moved to the control group {group}: {error.strerror}."
        ) from None


def _found(mark: str) -> list[Path]:
    found = []
    for at in {mount.at for mount in hierarchies.mounted()}:
        for path, names, _ in os.walk(at):
            found += [Path(path, name) for name in names if name == NAME + mark]
    return found


def _remove(group: Path) -> None:
    end = time.monotonic() + PATIENCE
    while group.exists():
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise EngineError(f"The control group {group} cannot be removed: {error.strerror}.") from None
            time.sleep(0.01)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise Refused(f"{path} does not take {text.strip()!r}: {error.strerror}.") from None
