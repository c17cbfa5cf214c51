"""A small HTTP service: says who answered, keeps values by key in memory, and is well at /health."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

VALUES: dict[str, bytes] = {}
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """GET / and /health, and GET, PUT and DELETE of /kv/KEY; X-Served-By names the node."""

    protocol_version = "HTTP/1.1"
    node = ""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in ("/", "/health"):
            self._answer(200, f"{self.node}\n".encode())
        elif (value := VALUES.get(path)) is not None and path.startswith("/kv/"):
            self._answer(200, value)
        else:
            self._answer(404, b"there is nothing here\n")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        value = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if not path.startswith("/kv/"):
            self._answer(404, b"values are kept under /kv/\n")
            return
        with LOCK:
            VALUES[path] = value
        self._answer(204, b"")

    def do_DELETE(self) -> None:
        with LOCK:
            there = VALUES.pop(urlsplit(self.path).path, None) is not None
        self._answer(204 if there else 404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("X-Served-By", self.node)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a load of thousands a second would fill the disk."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main(host: str, port: str, node: str) -> None:
    Handler.node = node
    with Server((host, int(port)), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
