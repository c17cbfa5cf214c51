"""Names that fail or come late, for one process, for a container and for a whole host.

The host is a mount namespace with an /etc of its own; the container has a network of its own besides.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from engine import undo
from engine.drivers.process import Process
from engine.errors import Refused
from engine.faults.dns_delay import DnsDelay
from engine.faults.dns_failure import DnsFailure
from engine.host import mounts, name_server, resolver
from engine.host.name_server import Harm
from engine.parameters import build
from engine.target import Node
from tests.engine.injecting import Injector, injected, injecting, marked
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
FILES = ("hosts", "passwd", "group", "ld.so.cache", "protocols", "services")
FOUND, FOUND_TOO = "10.1.2.3", "10.1.2.4"
ASKER = """
import os, socket, sys, time
if os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen()
while True:
    client, _ = server.accept()
    name = client.recv(999).decode()
    began = time.monotonic()
    try: found = socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except OSError as error: found = type(error).__name__
    client.sendall(f"{found} {time.monotonic() - began}".encode()); client.close()
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="to lay a file over resolv.conf needs root"
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHAOSBOARD_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


class Place:
    """Its own /etc, with a resolv.conf that names a real name server; in it a process that asks for names."""

    def __init__(self, folder: Path, *, network: bool, link: bool = False) -> None:
        self.folder, self.etc = folder, folder / "etc"
        self.etc.mkdir()
        for name in FILES:
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", self.etc)
        (self.etc / "nsswitch.conf").write_text("hosts: files dns\n")
        self.server = "127.0.0.53" if network else name_server.free_address(os.getpid())
        text = f"nameserver {self.server}\noptions timeout:1 attempts:1\n"
        (self.etc / ("linked" if link else "resolv.conf")).write_text(text)
        if link:
            (self.etc / "resolv.conf").symlink_to("../etc/linked")
        self.children: list[subprocess.Popen[str]] = []
        flags = ["--net"] if network else []
        script = f"mount --bind {self.etc} /etc && echo ready && exec sleep 600"
        self.holder = self._start(
            "unshare", "--mount", "--propagation", "private", *flags, "sh", "-c", script
        )
        kinds = {"mount": "mnt", **({"net": "net"} if network else {})}
        spaces = [f"--{kind}=/proc/{self.holder.pid}/ns/{file}" for kind, file in kinds.items()]
        self.enter = ["nsenter", *spaces, "--"]
        own = ["own"] if network else []
        self._start(*self.enter, sys.executable, "-m", "tests.engine.naming", self.server, *own)
        self.asker = self._ask_with(folder / "asker")
        self.other = self._ask_with(folder / "other")

    def _start(self, *argv: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                                 env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
        self.children.append(child)
        assert child.stdout
        assert child.stdout.readline()
        return child

    def _ask_with(self, path: Path) -> Node:
        child = subprocess.Popen([*self.enter, sys.executable, "-c", ASKER, str(path)])
        self.children.append(child)
        path.with_suffix(".pid").write_text(str(child.pid))
        until(path.exists)
        return Node(path.name, "127.0.0.1:1", control="process",
                    control_params={"pid_file": str(path.with_suffix(".pid"))})  # fmt: skip

    def pid(self, node: Node) -> int:
        return Process(**node.control_params).find(node)

    def ask(self, node: Node, name: str) -> tuple[str, float]:
        """What the node finds for the name, and the seconds that it took."""
        found: list[bytes] = []

        def told() -> bool:
            with socket(AF_UNIX) as client:
                try:
                    client.connect(str(self.folder / node.name))
                    client.sendall(name.encode())
                    found.append(client.recv(999))
                except OSError:  # it is being started
                    return False
            return bool(found[-1])

        until(told)
        address, seconds = found[-1].decode().split()
        return address, float(seconds)

    def command(self, *words: str, state: Path) -> str:
        """What a command of chaosboard says in this place."""
        argv = [*self.enter, sys.executable, "-m", "engine", *words, "--state", str(state)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environ).stdout

    def stop(self) -> None:
        for child in reversed(self.children):
            child.kill()
            child.wait()
        for node in (self.asker, self.other):
            try:
                os.kill(self.pid(node), signal.SIGKILL)
            except Exception:
                continue


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path, network=False)
    yield one
    one.stop()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path, network=True, link=True)
    yield one
    one.stop()


def clean(injector: Injector, place: Place) -> None:
    """Nothing of it is left in any mount table, in any process, on the disk."""
    assert mounts.holders(injector.mark) == []
    assert marked(injector.mark) == []
    assert list((injector.state / "dns").iterdir()) == []
    for node in (place.asker, place.other):
        assert place.ask(node, "db.internal")[0] == FOUND
        assert not mounts.carries(place.pid(node), injector.mark)


def test_one_process_does_not_find_names_until_the_warden_heals(state: Path, host: Place) -> None:
    assert host.ask(host.asker, "db.internal")[0] == FOUND
    first = host.pid(host.asker)
    with injecting(state, "dns-failure", {"names": ["*.internal"]}, host.asker, host.enter) as injector:
        assert host.ask(host.asker, "db.internal")[0] == "gaierror"
        assert host.ask(host.asker, "www.example")[0] == FOUND_TOO
        assert host.ask(host.other, "db.internal")[0] == FOUND
        assert mounts.carries(host.pid(host.asker), injector.mark)
        injector.kill()
        assert injector.healed().state == "clean"
        clean(injector, host)
    space = os.readlink(f"/proc/{host.pid(host.asker)}/ns/mnt")
    assert space == os.readlink(f"/proc/{host.holder.pid}/ns/mnt")
    assert host.pid(host.asker) != first


def test_a_whole_host_finds_names_late_until_the_warden_heals(state: Path, host: Place) -> None:
    params = {"scope": "host", "delay": "300ms", "names": ["db.*"]}
    pids = host.pid(host.asker), host.pid(host.other)
    with injecting(state, "dns-delay", params, host.asker, host.enter) as injector:
        for node in (host.asker, host.other):
            address, seconds = host.ask(node, "db.internal")
            assert address == FOUND
            assert seconds >= 0.3
        assert host.ask(host.asker, "www.example")[0] == FOUND_TOO
        injector.kill()
        assert injector.healed().state == "clean"
        clean(injector, host)
    assert (host.pid(host.asker), host.pid(host.other)) == pids


def test_a_name_server_that_dies_alone_is_cleared_away(state: Path, host: Place) -> None:
    with injecting(state, "dns-delay", {"scope": "host"}, host.asker, host.enter) as injector:
        (actor,) = injector.actors()
        os.kill(actor, signal.SIGKILL)
        until(lambda: host.ask(host.asker, "db.internal")[0] == "gaierror")
        assert "clean" in host.command("heal", "--all", state=state)
        clean(injector, host)


def test_a_host_without_a_resolv_conf_has_none_afterwards(state: Path, host: Place) -> None:
    file = host.etc / "resolv.conf"
    file.unlink()
    with injecting(state, "dns-failure", {"scope": "host"}, host.asker, host.enter) as injector:
        assert host.ask(host.asker, "db.internal")[0] == "gaierror"
        assert mounts.holders(injector.mark)
        assert "clean" in host.command("heal", "--all", state=state)
    assert not file.exists()


def test_a_container_does_not_find_names_and_its_process_stays(state: Path, container: Place) -> None:
    pid = container.pid(container.asker)
    with injecting(state, "dns-failure", {"names": ["db.*"]}, container.asker) as injector:
        refused(container)
        injector.kill()
        assert injector.healed().state == "clean"
        clean(injector, container)
    for mode in ("nxdomain", "timeout"):
        fault = DnsFailure(names=["db.*"], mode=mode)
        with injected(state, "dns-failure", fault, container.asker) as record:
            refused(container)
        assert undo.heal(state, record.id).state == "clean"
        assert container.ask(container.asker, "db.internal")[0] == FOUND
        assert (mounts.holders(record.id), marked(record.id)) == ([], [])
    assert container.pid(container.asker) == pid


def refused(place: Place) -> None:
    assert place.ask(place.asker, "db.internal")[0] == "gaierror"
    assert place.ask(place.asker, "www.example")[0] == FOUND_TOO


def test_a_mount_of_somebody_else_is_not_covered(state: Path, host: Place) -> None:
    (host.folder / "theirs").write_text(f"nameserver {host.server}\n")
    mount = [*host.enter, "mount", "--bind", str(host.folder / "theirs"), "/etc/resolv.conf"]
    subprocess.run(mount, check=True)
    with injecting(state, "dns-failure", {"scope": "host"}, host.asker, host.enter) as injector:
        assert "is not ours to cover" in injector.mark
    assert undo.records(state) == []


def test_a_host_on_which_chaosboard_needs_names_is_refused(
    state: Path, host: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:secret@redis.example:6379/0")
    with pytest.raises(Refused, match=r"REDIS_URL needs redis\.example; it never cuts the branch"):
        undo.prepare(state, "r", "f0", "dns-failure", DnsFailure(scope="host"), host.asker, 60)


def test_addresses_and_localhost_need_no_names() -> None:
    environ = {"REDIS_URL": "redis://127.0.0.1:6379", "DATABASE_URL": "postgres://u@[::1]/db", "HOME": "http://x",
               "CHAOSBOARD_STATE": "/var/lib/chaosboard", "CHAOSBOARD_URL": "http://localhost:8000"}  # fmt: skip
    assert resolver.own_names(environ) == []
    assert resolver.own_names({"CHAOSBOARD_URL": "http://board"}) == ["CHAOSBOARD_URL needs board"]
    assert resolver.own_names({"DATABASE_URL": "sqlite:////var/db.sqlite3"}) == []


def test_what_is_not_to_be_harmed_is_passed_on_by_udp_and_tcp() -> None:
    import dns.message
    import dns.query
    import dns.rcode

    real, ours, going = name_server.free_address(os.getpid()), name_server.free_address(os.getpid()), [True]
    argv = [sys.executable, "-m", "tests.engine.naming", real]
    ready = threading.Event()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout
        assert server.stdout.readline()
        told = (ours, [real], Harm(["*.internal"], answer="servfail"), lambda: bool(going), ready.set)
        serving = threading.Thread(target=name_server.serve, args=told)
        serving.start()
        ready.wait(30)
        for ask in (dns.query.udp, dns.query.tcp):
            answer = ask(dns.message.make_query("www.example.", "A"), ours, timeout=20)
            assert FOUND_TOO in answer.answer[0].to_text()
            answer = ask(dns.message.make_query("db.internal.", "A"), ours, timeout=20)
            assert answer.rcode() == dns.rcode.SERVFAIL
            answer = ask(dns.message.make_query("nowhere.", "A"), ours, timeout=20)
            assert answer.rcode() == dns.rcode.NXDOMAIN
        going.clear()
        serving.join()
        server.kill()


def test_patterns_choose_names_whatever_their_case() -> None:
    harm = Harm(["*.Internal", "www.example."])
    assert [harm.fits(n) for n in ("db.internal.", "a.b.INTERNAL", "www.example", "internal", "example")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_our_file_keeps_what_else_the_real_one_says() -> None:
    real = "# old\nnameserver 10.0.0.1\nsearch a b\nnameserver fe80::1%eth0\noptions ndots:2\n"
    ours = resolver.ours(real, "127.70.1.1", "m")
    assert ours == "# chaosboard m\n# old\nsearch a b\noptions ndots:2\nnameserver 127.70.1.1\n"
    assert resolver.servers(real) == ["10.0.0.1", "fe80::1%eth0"]
    assert resolver.servers(None) == ["127.0.0.1"]


def test_links_are_followed_within_their_own_root(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "var").symlink_to("/run")
    (tmp_path / "etc" / "resolv.conf").symlink_to("../../var/./stub.conf")
    assert mounts.within(str(tmp_path), "/etc/resolv.conf") == "/run/stub.conf"


def test_what_it_does_is_said_in_a_line() -> None:
    delay = build(DnsDelay, {"delay": "2s", "jitter": "1s", "names": "db.* *.x", "scope": "host"})
    assert delay.line(["n1"]) == "delay the name look-ups of the host of n1 for db.* and *.x by 2s ± 1s"
    assert DnsFailure(mode="nxdomain").line(["n1", "n2"]) == "deny the names of n1 and n2"
