"""Ways from a client to a server that listens on 127.0.0.1:UPSTREAM: ours and its peers, as context managers."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench._servers import ROOT, waits_for
from chaosboard import ports
from engine import proxy

HAPROXY = """global
  maxconn 4000{threads}
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen it
  bind 127.0.0.1:{port}
  server one 127.0.0.1:{upstream}
"""
NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 20000; }}
stream {{ server {{ listen 127.0.0.1:{port}; proxy_half_close on; proxy_pass 127.0.0.1:{upstream}; }} }}
"""


class Way(NamedTuple):
    """`pid` is None where nothing is in between."""

    name: str
    port: int
    pid: int | None
    folder: str = ""  # the state directory of ours


@contextmanager
def direct(upstream: int) -> Iterator[Way]:
    yield Way("direct", upstream, None)


@contextmanager
def ours(upstream: int) -> Iterator[Way]:
    port = ports.choose(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine", "proxy", "--api", "none", "--state", folder]
        with _process(command) as process:
            proxy.wait(Path(folder))
            link = {"do": "open", "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{upstream}"}
            proxy.call(Path(folder), link)
            yield Way("ours", port, process.pid, folder)


@contextmanager
def haproxy(upstream: int) -> Iterator[Way]:
    """On one thread, as ours."""
    text = HAPROXY.replace("{threads}", "\n  nbthread 1")
    yield from _configured("haproxy", text, upstream, lambda found, file: [found, "-db", "-f", file])


@contextmanager
def haproxy_on_all(upstream: int) -> Iterator[Way]:
    """On as many threads as there are processors, as it comes."""
    text = HAPROXY.replace("{threads}", "")
    for way in _configured("haproxy", text, upstream, lambda found, file: [found, "-db", "-f", file]):
        yield way._replace(name="haproxy/all")


@contextmanager
def nginx(upstream: int) -> Iterator[Way]:
    yield from _configured("nginx", NGINX, upstream, lambda found, file: [found, "-c", file])


def _configured(
    name: str, text: str, upstream: int, command: Callable[[str, str], list[str]]
) -> Iterator[Way]:
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        raise SystemExit(f"{name} is missing, and this bench needs it")
    port = ports.choose(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "conf")
        file.write_text(text.format(port=port, upstream=upstream, folder=folder))
        with _process(command(found, str(file))) as process:
            waits_for(port, process)
            yield Way(name, port, process.pid)


@contextmanager
def _process(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


WAYS = (ours, direct, haproxy, haproxy_on_all, nginx)
