"""A real sshd of the test's own: its own keys, its own port, as the current user."""

import contextlib
import getpass
import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from chaosboard import ports
from engine import processes
from tests.waiting import until

CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
"""


class Sshd:
    def __init__(self, folder: Path) -> None:
        self.binary = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
        if not self.binary:
            assert os.environ.get("CI") != "true", "sshd is missing: install openssh-server"
            pytest.skip("there is no sshd here: install openssh-server")
        self.folder, self.port = folder, ports.choose(1)[0]
        self.key, self.known_hosts, self.home = folder / "key", folder / "known_hosts", folder / "far"
        keygen(self.key)
        keygen(folder / "host_key")
        (folder / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        self.know((folder / "host_key.pub").read_text())
        (folder / "sshd_config").write_text(CONFIG.format(port=self.port, folder=folder))
        self.process = subprocess.Popen(self._command(), stderr=(folder / "sshd.log").open("wb"))
        until(lambda: processes.listeners(self.port))

    def _command(self) -> list[str]:
        """As root, sshd wants /run/sshd: it gets one that nobody else sees."""
        command = [str(self.binary), "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if os.geteuid() != 0:
            return command
        alone = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", alone, "sshd", *command]

    def know(self, key: str) -> None:
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {key}")

    def driver(self, **other: object) -> dict[str, object]:
        """The ssh driver's parameters."""
        return {
            "host": "127.0.0.1", "port": self.port, "user": getpass.getuser(), "key": str(self.key),
            "known_hosts": str(self.known_hosts), "folder": str(self.home), **other,
        }  # fmt: skip

    def connections(self) -> list[psutil.Process]:
        """What serves one connection each: the children of the one that listens."""
        return psutil.Process(self.process.pid).children()

    def stop(self) -> None:
        for child in [*self.connections(), psutil.Process(self.process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()


def keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
