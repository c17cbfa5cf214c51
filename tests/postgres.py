"""The lab's PostgreSQL primary and standby on loopback, and questions to them."""

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from engine import processes
from engine.lab.cluster import Cluster
from engine.lab.systems.postgres import Postgres, ask, connect
from engine.target import Target
from tests.waiting import until


@dataclass(frozen=True)
class Pair:
    cluster: Cluster

    @property
    def folder(self) -> Path:
        return self.cluster.directory

    @property
    def addresses(self) -> dict[str, int]:
        return {node.name: node.port for node in self.cluster.nodes}

    @property
    def target(self) -> Target:
        nodes = [
            {"name": name, "address": f"127.0.0.1:{port}", "driver": {"process": {"port": port}}}
            for name, port in self.addresses.items()
        ]
        return Target.from_dict({"name": "pair", "kind": "postgres", "nodes": nodes})

    def data(self, name: str) -> Path:
        return self.cluster.node(name).data

    def ask(self, name: str, query: str) -> Any:
        """The first value of the first row; None where the server does not answer."""
        return ask(self.cluster.node(name), query)

    def ask_leader(self, query: str) -> None:
        """Waits until somebody leads and the other one follows."""
        self.order(self.roles()[0], query)

    def order(self, name: str, *queries: str) -> None:
        with connect("127.0.0.1", self.addresses[name]) as connection:
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


@contextmanager
def running_pair() -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="chaosboard-postgres-", dir="/tmp"))
    folder.chmod(0o755)  # where we are root, it runs as nobody
    pair = Pair(Cluster(Postgres(), folder))
    try:
        pair.cluster.start()
        yield pair
    finally:
        pair.cluster.stop()
        shutil.rmtree(folder)


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
            with contextlib.suppress(psycopg.Error), connect("127.0.0.1", port) as connection:
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
        with connect("127.0.0.1", pair.addresses[name]) as connection:
            missing |= whole - {row[0] for row in connection.execute("SELECT number FROM numbers")}
    return missing
