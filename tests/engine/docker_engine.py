"""A Docker engine of the tests' own: with its own processes, network, mounts and control groups.

It is started in namespaces of its own, so nothing of it is left when it is killed, and no network of
this host is touched. Its pids are those of its namespace: `proc` finds them. There is no registry: the
one image is made of busybox.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest

from tests.waiting import until

IMAGE = "chaos-busybox:local"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
NEEDED = ("dockerd", "containerd", "runc", "unshare", "nsenter", "busybox")
GROUPS = Path("/sys/fs/cgroup")
V2 = (GROUPS / "cgroup.controllers").exists()
# $1 is a folder, hidden under file systems in memory; only the socket's is the host's
SCRIPT = """
mount -t tmpfs none /run && mount -t tmpfs none "$1/own" && busybox ip link set lo up &&
exec dockerd --data-root "$1/own/data" --exec-root "$1/own/exec" --pidfile "$1/own/pid" \
  --host "unix://$1/socket" --iptables=false --bridge=none --storage-driver overlay2 \
  --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$2"
"""

FETCH = """
import socket, sys
with socket.create_connection((sys.argv[1], 80), timeout=1) as web:
    web.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(web.makefile().read().splitlines()[-1], end="")
"""


def missing() -> str:
    """Why no engine can be started here; "" where one can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "a Docker engine of our own needs root"
    lacking = [one for one in NEEDED if not shutil.which(one, path=PATH)]
    return f"missing: {', '.join(lacking)}; install docker.io and busybox-static" if lacking else ""


@contextmanager
def running() -> "Iterator[DockerEngine]":
    """An engine for a while; skips the test where none can be started, which with CI=true is a failure."""
    if why := missing():
        assert os.environ.get("CI") != "true", why
        pytest.skip(why)
    one = DockerEngine()
    yield one
    one.end()


class DockerEngine:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cbd"))  # short: a socket's path has 107 characters
        (self.folder / "own").mkdir()
        self.group = f"chaosboard-test-{os.getpid()}"
        self.url = f"unix://{self.folder}/socket"
        self.log = open(self.folder / "log", "wb")  # noqa: SIM115 - as long as the engine
        self.process = subprocess.Popen(
            ["unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--net", "--mount", "--",
             "sh", "-c", SCRIPT, "sh", str(self.folder), self.group],
            stdout=self.log, stderr=self.log, env={**os.environ, "PATH": PATH},
        )  # fmt: skip
        try:
            until(self._answers)
            self.client = docker.DockerClient(base_url=self.url, timeout=30)
            self.api = self.client.api
            self.api.import_image_from_data(_root_file_system(), repository="chaos-busybox", tag="local")
        except BaseException:
            self.end()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            client = docker.DockerClient(base_url=self.url, timeout=5)
            client.close()
            return True
        except docker.errors.DockerException:
            return False

    @property
    def pid(self) -> int:
        """The pid of dockerd on this host: the first process of its namespace."""
        return psutil.Process(self.process.pid).children()[0].pid

    def run(self, name: str = "", command: str = "sleep 600", **how: Any) -> Any:
        """A container whose first process runs `command` and ends in good order at SIGTERM."""
        script = f"trap 'exit 0' TERM; {command} & wait"
        how = {"network_mode": "none", **how} if "network" not in how else how
        return self.client.containers.run(
            IMAGE, ["sh", "-c", script], name=name or None, detach=True, stop_signal="TERM", **how
        )

    def clear(self) -> None:
        for container in self.client.containers.list(all=True):
            container.remove(force=True)
        self.client.networks.prune()

    # What the kernel says

    def proc(self, pid: int) -> Path:
        """The folder of a process of this engine in /proc."""
        return Path(f"/proc/{self.pid}/root/proc/{pid}")

    def frozen(self, id: str) -> bool:
        if V2:
            return "frozen 1" in (GROUPS / self.group / id / "cgroup.events").read_text()
        return (GROUPS / "freezer" / self.group / id / "freezer.state").read_text().strip() == "FROZEN"

    def limits(self, id: str) -> tuple[float | None, int | None]:
        """Processors and bytes; None for no limit."""
        if V2:
            group = GROUPS / self.group / id
            quota, period = (group / "cpu.max").read_text().split()
            memory = (group / "memory.max").read_text().strip()
        else:
            cpu = GROUPS / "cpu" / self.group / id
            quota, period = ((cpu / f"cpu.cfs_{one}_us").read_text().strip() for one in ("quota", "period"))
            memory = (GROUPS / "memory" / self.group / id / "memory.limit_in_bytes").read_text().strip()
        none = ("max", "-1", str(2**63 - 4096))
        return None if quota in none else int(quota) / int(period), None if memory in none else int(memory)

    def interfaces(self, pid: int) -> set[str]:
        """Of the network namespace of a process, but its loopback."""
        lines = (self.proc(pid) / "net" / "dev").read_text().splitlines()[2:]
        return {line.split(":")[0].strip() for line in lines} - {"lo"}

    def fetch(self, host: str) -> str:
        """What the web server at an address of the engine's networks answers; "" where there is no answer."""
        command = ["nsenter", f"--net=/proc/{self.pid}/ns/net", sys.executable, "-S", "-c", FETCH, host]
        return subprocess.run(command, capture_output=True, text=True).stdout

    def end(self) -> None:
        self.process.kill()  # and the kernel ends all in its namespace
        self.process.wait()
        self.log.close()
        for group in [*sorted(GROUPS.glob(f"*/{self.group}")), GROUPS / self.group]:
            until(lambda group=group: _removed(group))
        shutil.rmtree(self.folder)


def _removed(group: Path) -> bool:
    """A control group can be removed only when its last process is gone."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    except OSError:
        return not group.exists()
    return True


def _root_file_system() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        busybox = os.path.realpath(shutil.which("busybox", path=PATH) or "")
        tar.add(busybox, "bin/busybox")
        for library in _libraries(busybox):
            tar.add(os.path.realpath(library), library.lstrip("/"))
        for name in ("sh", "sleep", "httpd", "wget"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        page = tarfile.TarInfo("www/index.html")
        page.size = 2
        tar.addfile(page, io.BytesIO(b"ok"))
    return buffer.getvalue()


def _libraries(program: str) -> list[str]:
    """What a program needs where it is not a static one."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", told)
