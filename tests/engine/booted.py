"""A host that is booted with systemd: the real one, as pid 1 of namespaces of the test's own.

It has its own processes, mounts and control groups, and a handful of units instead of this machine's.
"""

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from engine.drivers import _systemctl
from tests.engine.far import ROOT
from tests.waiting import until

INIT = "/lib/systemd/systemd"
MODES = ["v2"] if _systemctl.unified() else ["v1", "v2"]  # of control groups; a mixed host can do both
OWN = ("systemd", "unified")  # hierarchies without a controller
BOOT = """
set -e
for name in {targets}; do echo $$ > $name/cgroup.procs; done
exec unshare --mount --uts --ipc --pid --fork --cgroup --kill-child sh -ec '
    mount --make-rprivate /
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /run
    mkdir -p /run/systemd/system /run/lock
    for place in /etc/systemd/system /usr/lib/systemd/system /usr/lib/systemd/system-generators; do
        mount -t tmpfs tmpfs $place
    done
    cp -P {units}/* /etc/systemd/system/
    umount -R /sys/fs/cgroup
    {groups}
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=test TERM=dumb \
        SYSTEMD_PROC_CMDLINE="systemd.unified_cgroup_hierarchy={unified}" \
        {init} --system --unit=multi-user.target --log-target=console
'
"""
V1 = """mount -t tmpfs tmpfs /sys/fs/cgroup
    for name in systemd {names}; do mkdir /sys/fs/cgroup/$name; done
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
    for name in {names}; do mount -t cgroup -o $name cgroup /sys/fs/cgroup/$name; done"""
TARGET = "[Unit]\nDefaultDependencies=no\n"
UNITS = {
    "web.service": "[Service]\nExecStart=/bin/sh -c 'sleep 1000 & exec sleep 1001'\nCPUQuota=150%\n",
    "always.service": "[Service]\nExecStart=/bin/sleep 1002\nRestart=always\nRestartSec=0\n",
    "stubborn.service": "[Service]\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'\n",
    "ssh.service": "[Service]\nExecStart=/bin/sleep 1003\n",
    "idle.service": "[Service]\nExecStart=/bin/sleep 1004\n",
    "apart.service": "[Service]\nExecStart=/bin/sleep 1005\nPrivateNetwork=yes\n",
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    "dbus.service": "[Unit]\nRequires=dbus.socket\n[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --system "
    "--address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n",
    **{f"{name}.target": TARGET for name in ("sysinit", "basic", "shutdown", "multi-user")},
}


class Booted:
    def __init__(self, folder: Path, mode: str) -> None:
        if os.geteuid() != 0 or not Path(INIT).exists() or not shutil.which("unshare"):
            assert os.environ.get("CI") != "true", "systemd cannot be started: it takes root and systemd"
            pytest.skip("starting a systemd of its own takes root, unshare and systemd")
        self.mode, self.log = mode, folder / "boot.log"
        self.name = f"chaosboard-test-{os.getpid()}-{mode}"
        units = folder / "units"
        units.mkdir()
        for name, text in UNITS.items():
            (units / name).write_text(text)
        (units / "masked.service").symlink_to("/dev/null")
        # in every hierarchy: systemd mounts those that it finds, and must not see this machine's root
        self.groups = [root / self.name for root in _hierarchies()]
        for group in self.groups:
            _make(group)
        script = BOOT.format(
            targets=" ".join(map(str, self.groups)), units=units, init=INIT, unified=int(mode == "v2"),
            groups="mount -t cgroup2 cgroup2 /sys/fs/cgroup" if mode == "v2"
            else V1.format(names=" ".join(root.name for root in _hierarchies() if root.name not in OWN)),
        )  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(["sh", "-c", script], stdout=log, stderr=log)
        try:
            until(self._up)
        except BaseException:
            self.stop()
            raise

    def _up(self) -> bool:
        assert self.process.poll() is None, f"systemd did not start: {self.log.read_text()}"
        inits = psutil.Process(self.process.pid).children()
        if not inits or inits[0].name() != "systemd":
            return False
        self.init = inits[0].pid
        return self.systemctl("is-system-running", check=False).strip() == "running"

    def inside(self, *command: str) -> list[str]:
        """`command` as it is run on that host."""
        return ["nsenter", "--all", "--target", str(self.init), f"--wd={ROOT}", *command]

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            self.inside("systemctl", *arguments), capture_output=True, text=True, check=check
        )
        return done.stdout

    def shown(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--value", f"--property={name}", unit).strip()

    def stop(self) -> None:
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children():
                child.kill()  # pid 1 of its namespace: all others go with it
        self.process.wait(30)
        for group in self.groups:
            until(lambda group=group: _removed(group))


def _hierarchies() -> list[Path]:
    """Where this machine's control groups are mounted."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(place) for _, place, kind, *_ in mounts if kind in ("cgroup", "cgroup2")]


def _make(group: Path) -> None:
    group.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        if group.parent.name == "cpuset":  # of cgroup v1: empty until it is told which
            (group / name).write_text((group.parent / name).read_text())


def _removed(group: Path) -> bool:
    try:
        for inner in sorted(group.rglob("*/"), reverse=True):
            inner.rmdir()
        group.rmdir()
    except FileNotFoundError:
        return not group.exists()
    except OSError:
        return False
    return True
