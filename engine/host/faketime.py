"""The clock of one process, moved by libfaketime: a library that is loaded before libc and asks a file.

The file holds one line, such as `+3600` or `-5 x1.5`; a process under the library reads it at each look
at its clock. A process that was started with FAKETIME_TIMESTAMP_FILE by its owner is *prepared*: its
clock is moved by changing that file. Any other is started again with a copy of the library, which
carries the mark of the fault in its name and so is seen in `/proc/PID/maps`.
"""

import contextlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import psutil

from engine import state
from engine.errors import EngineError, Refused
from engine.host import elf, wrapping
from engine.processes import describe

FILE = "FAKETIME_TIMESTAMP_FILE"
RIGHT = "+0"
_OTHERS = ("FAKETIME", "FAKETIME_SHARED", "FAKETIME_FMT", "FAKETIME_CACHE_DURATION", "FAKETIME_XRESET")
_SHARED = ("faketime_shm_{}", "sem.faketime_sem_{}")  # what the library leaves behind when it is killed


def line(offset: float, rate: float) -> str:
    """What the file says for a clock that is `offset` seconds off and runs at `rate`."""
    return f"{offset:+.9f}".rstrip("0").rstrip(".") + ("" if rate == 1 else f" x{rate:g}")


# Which programs, with which library


def library(pid: int) -> str:
    """The library for `pid`; raises Refused where it has none, or would pay no heed to it."""
    if not sys.platform.startswith("linux"):
        raise Refused("Only on Linux can the clock of one process be set.")
    program = _heeding(pid)
    found = _libraries(threaded=psutil.Process(pid).num_threads() > 1)
    fitting = [path for path in found if _machine(path) == program.machine]
    if fitting:
        return fitting[0]
    raise Refused(
        f"There is no libfaketime for {program.machine} here, so no clock can be set.",
        "Install the package libfaketime (Debian), or the one of PyPI.",
    )


def _heeding(pid: int) -> elf.Program:
    """The program of `pid`; raises Refused where it would not ask the library for the time."""
    try:
        path = f"/proc/{pid}/exe"
        program, mode = elf.read(path), os.stat(path).st_mode
        raised = "security.capability" in os.listxattr(path)
    except OSError as error:
        raise Refused(f"The program of {describe(pid)} cannot be read: {error.strerror}.") from None
    if mode & 0o6000 or raised:
        raise Refused(f"{describe(pid)} runs with raised rights (setuid), so no library is loaded into it.")
    why = "is no ELF program" if program is None else ""
    if program and program.go:
        why = "is written in Go, which asks the kernel for the time itself"
    elif program and not program.interpreter:
        why = "is statically linked, so no library can be loaded into it"
    elif program and "musl" in program.interpreter:
        why = "is linked with musl, and libfaketime with glibc"
    if program is None or why:
        raise Refused(
            f"{describe(pid)} {why}; its clock cannot be set apart from that of the host.",
            "A monotonic clock can: set `clock` to monotonic.",
        )
    return program


def _libraries(threaded: bool) -> list[str]:
    """Debian's, then that of PyPI; of Debian's two, the one that bears many threads where there are some."""
    names = ["libfaketimeMT.so.1", "libfaketime.so.1"][:: 1 if threaded else -1]
    folders = [*Path("/usr/lib").glob("*/faketime"), *Path("/usr").glob("lib*/faketime")]
    spec = importlib.util.find_spec("libfaketime")
    if spec and spec.origin:
        folders += Path(spec.origin).parent.glob("vendor/*/src")
    return [str(folder / name) for folder in folders for name in names if (folder / name).exists()]


def _machine(path: str) -> str:
    found = elf.read(path)
    return found.machine if found else ""


# A process started again under the library


def library_copy(mark: str) -> Path:
    return state.root() / "clock" / f"libfaketime.{mark}.so.1"


def time_file(mark: str) -> Path:
    return state.root() / "clock" / f"{mark}.time"


def refuse_unreadable(uid: int) -> None:
    """Raises Refused where a process of user `uid` could not read what it is to be started with."""
    folder = time_file("x").parent
    folder.mkdir(parents=True, exist_ok=True)
    if any(c in str(folder) for c in " :\n"):
        raise Refused(f"{folder} has a space or a colon in it, so no library can be loaded from there.",
                      "Set CHAOSBOARD_STATE to another directory.")  # fmt: skip
    closed = [f for f in (folder, *folder.parents) if f.stat().st_uid != uid and not f.stat().st_mode & 1]
    if uid != 0 and closed:
        raise Refused(f"The user {uid} of the process cannot read {closed[-1]}, where its clock is set from.",
                      "Set CHAOSBOARD_STATE to a directory that it can read.")  # fmt: skip


def lay(mark: str, library: str, text: str) -> None:
    """Puts the library and the file of a fault in their place."""
    time_file(mark).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(library, library_copy(mark))
    library_copy(mark).chmod(0o755)
    set_time(mark, text)


def set_time(mark: str, text: str) -> None:
    """The process under the mark reads `text` from now on, at once and whole."""
    scratch = time_file(mark).with_suffix(".new")
    scratch.write_text(f"{text}\n")
    scratch.chmod(0o644)
    scratch.replace(time_file(mark))


def loaded_besides(pid: int, preload: str) -> str:
    """What `pid` must load besides the library; `preload` is what it loads already.

    jemalloc asks for the time before the library is ready, and hangs: libc's own memory goes before it.
    """
    return f"{'libc.so.6' if wrapping.mapped(pid, 'libjemalloc') else ''} {preload}".strip()


def environ(mark: str, besides: str) -> dict[str, str | None]:
    """What changes in the environment of the process."""
    loaded = f"{library_copy(mark)} {besides}".strip()
    quiet = {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
    return {**dict.fromkeys(_OTHERS), "LD_PRELOAD": loaded, FILE: str(time_file(mark)), **quiet}


def carries(pid: int, mark: str) -> bool:
    return wrapping.mapped(pid, library_copy(mark).name)


def note(mark: str) -> None:
    """Writes down who runs under the library, so that what it leaves in memory can be removed."""
    pids = wrapping.carrying(lambda pid: carries(pid, mark))
    with open(time_file(mark).with_suffix(".pids"), "a") as file:
        file.writelines(f"{pid}\n" for pid in pids)


def clear(mark: str) -> None:
    """Removes the files of a fault; idempotent. Call it when no process uses them any more."""
    pids = time_file(mark).with_suffix(".pids")
    if pids.exists():
        for pid in pids.read_text().split():
            _clear_shared(int(pid))
    for path in (time_file(mark).with_suffix(".new"), time_file(mark), library_copy(mark), pids):
        path.unlink(missing_ok=True)


def _clear_shared(pid: int) -> None:
    if wrapping.mapped(pid, _SHARED[0].format(pid)):
        return  # the pid has been given to another one, who runs under the library too
    for name in _SHARED:
        with contextlib.suppress(OSError):
            Path("/dev/shm", name.format(pid)).unlink()


def left(mark: str) -> list[str]:
    """What is left of a fault, in words."""
    pids = wrapping.carrying(lambda pid: carries(pid, mark))
    files = [path for path in (time_file(mark), library_copy(mark)) if path.exists()]
    return [f"pid {pid} has libfaketime loaded" for pid in pids] or [f"the file {path}" for path in files]


# A process that its owner has prepared


def prepared(pid: int, environ: dict[str, str]) -> str:
    """The file from which `pid` reads its clock already, as it calls it; "" where it does not."""
    path = environ.get(FILE, "")
    if not path or "FAKETIME" in environ or not wrapping.mapped(pid, "libfaketime"):
        return ""
    return os.path.join(os.readlink(f"/proc/{pid}/cwd"), path)


def seen(pid: int, path: str) -> str:
    """The file that `pid` calls `path`, as we call it."""
    return f"/proc/{pid}/root{path}" if wrapping.elsewhere(pid) else path


def read_prepared(path: str) -> str | None:
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"The file {path} of its clock cannot be read: {error}.") from None


def write_prepared(path: str, mark: str, text: str) -> None:
    """Writes a line of ours, with the mark above it. The file stays the same one, of the same owner."""
    _overwrite(path, f"# chaosboard {mark}\n{text}\n")


def restore_prepared(path: str, mark: str, before: str | None) -> None:
    """Gives the file back what it held, unless somebody else has written it since."""
    if mark not in (read_prepared(path) or ""):
        return
    if before is None:
        Path(path).unlink()
    else:
        _overwrite(path, before)


def _overwrite(path: str, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            data = text.encode()
            os.write(descriptor, data)
            os.ftruncate(descriptor, len(data))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EngineError(f"The file {path} of its clock cannot be written: {error.strerror}.") from None
