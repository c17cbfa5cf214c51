"""A name server that knows two names: `python -m tests.engine.naming ADDRESS [own]`; it says when it serves.

With `own` it is in a network of its own, whose loopback it brings up."""

import fcntl
import socket
import socketserver
import struct
import sys
import threading

import dns.message
import dns.rcode
import dns.rrset

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
KNOWN = {"db.internal.": "10.1.2.3", "www.example.": "10.1.2.4"}


def answer(wire: bytes) -> bytes:
    question = dns.message.from_wire(wire)
    made = dns.message.make_response(question, True)
    name, kind = question.question[0].name.to_text().lower(), question.question[0].rdtype.name
    if name not in KNOWN:
        made.set_rcode(dns.rcode.NXDOMAIN)
    elif kind == "A":
        made.answer.append(dns.rrset.from_text(name, 0, "IN", "A", KNOWN[name]))
    return made.to_wire()


class Datagram(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request[1].sendto(answer(self.request[0]), self.client_address)


class Stream(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self.rfile.read(2):
            made = answer(self.rfile.read(struct.unpack("!H", head)[0]))
            self.wfile.write(struct.pack("!H", len(made)) + made)


class Streams(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def loopback_up() -> None:
    """A network namespace begins with its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


if __name__ == "__main__":
    if "own" in sys.argv[2:]:
        loopback_up()
    datagrams = socketserver.ThreadingUDPServer((sys.argv[1], 53), Datagram)
    threading.Thread(target=datagrams.serve_forever, daemon=True).start()
    streams = Streams((sys.argv[1], 53), Stream)
    print("serves", flush=True)
    streams.serve_forever()
