"""What passes through an undisturbed link arrives whole, in both directions, and ends as it ended."""

import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chaosboard import ports
from tests.proxies import Proxy, running, serve
from tests.waiting import until

MIB = 1 << 20


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with running(tmp_path) as found:
        yield found


def receive(one: socket.socket) -> bytes:
    """Everything until its end."""
    found = bytearray()
    while data := one.recv(MIB):
        found += data
    return bytes(found)


def digests(one: socket.socket) -> None:
    """Answers with the digest of all that came, and as much again of its own."""
    one.sendall(hashlib.sha256(receive(one)).digest())


def large(one: socket.socket) -> None:
    one.sendall(b"x" * 20 * MIB)


def slow(one: socket.socket) -> None:
    """Reads only when it is allowed to."""
    ALLOWED.wait(10)
    digests(one)


ALLOWED = threading.Event()


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 128 * 1024 + 1, 40 * MIB])
def test_what_is_sent_arrives_whole_and_its_end_too(proxy: Proxy, size: int) -> None:
    with serve(digests) as upstream, proxy.connect(upstream) as one:
        data = os.urandom(size)
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        assert receive(one) == hashlib.sha256(data).digest()
    until(lambda: proxy.open() == 0, timeout=5)


def test_a_receiver_that_is_slow_loses_nothing(proxy: Proxy) -> None:
    ALLOWED.clear()
    data = os.urandom(30 * MIB)
    with serve(slow) as upstream, proxy.connect(upstream) as one:
        sender = threading.Thread(target=one.sendall, args=(data,))
        sender.start()
        ALLOWED.set()
        sender.join()
        one.shutdown(socket.SHUT_WR)
        assert receive(one) == hashlib.sha256(data).digest()


def test_both_directions_run_at_once(proxy: Proxy) -> None:
    def echo(one: socket.socket) -> None:
        while data := one.recv(MIB):
            one.sendall(data)

    data = os.urandom(30 * MIB)
    with serve(echo) as upstream, proxy.connect(upstream) as one:
        sender = threading.Thread(target=lambda: (one.sendall(data), one.shutdown(socket.SHUT_WR)))
        sender.start()
        assert receive(one) == data
        sender.join()


def test_a_reset_of_the_node_is_a_reset_for_the_client(proxy: Proxy) -> None:
    def reset(one: socket.socket) -> None:
        one.recv(1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.close()

    with serve(reset) as upstream, proxy.connect(upstream) as one:
        one.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            one.recv(1)


def test_a_node_that_is_not_there_is_a_reset_for_the_client(proxy: Proxy) -> None:
    with serve(digests) as upstream:
        pass

    def talk() -> None:
        with proxy.connect(upstream) as one:
            one.recv(1)

    with pytest.raises(ConnectionResetError):
        talk()


def test_tls_passes_as_it_is(proxy: Proxy, tmp_path: Path) -> None:
    """The client sees the node's own certificate; the proxy has none."""
    here, there = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certify(tmp_path / "pem")
    there.load_cert_chain(tmp_path / "pem")
    here.load_verify_locations(tmp_path / "pem")

    def talk(one: socket.socket) -> None:
        with there.wrap_socket(one, server_side=True) as secure:
            secure.sendall(secure.recv(100))

    with (
        serve(talk) as upstream,
        proxy.connect(upstream) as one,
        here.wrap_socket(one, server_hostname="localhost") as secure,
    ):
        secure.sendall(b"hello")
        assert secure.recv(100) == b"hello"


def certify(path: Path) -> None:
    """A key and a certificate for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))


def test_a_name_is_tried_at_all_its_addresses(proxy: Proxy) -> None:
    """This host is ::1 and 127.0.0.1, and the server listens on one of them."""
    with serve(digests) as upstream:
        listen = f"127.0.0.1:{ports.choose(1)[0]}"
        proxy.order("open", listen, upstream=f"localhost:{upstream}")
        with socket.create_connection(("127.0.0.1", int(listen.rpartition(":")[2])), timeout=10) as one:
            one.shutdown(socket.SHUT_WR)
            assert receive(one) == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("first", [digests, large], ids=["small", "large"])
def test_closed_connections_leave_nothing_open(proxy: Proxy, first: Callable[[socket.socket], None]) -> None:
    with serve(first) as upstream:
        for _ in range(20):
            with proxy.connect(upstream) as one:
                one.sendall(b"x")
    until(lambda: proxy.open() == 0, timeout=5)
