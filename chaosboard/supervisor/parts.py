"""Which parts the board has, in the order in which they are started."""

import os
import secrets
import shutil
import sys
from pathlib import Path

import httpx
import redis

from chaosboard import ports
from chaosboard.supervisor.part import Part
from engine import proxy, warden
from engine.errors import EngineError
from engine.lab.programs import VALKEY

REDIS_CONF = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {directory}
set-proc-title no
save ""
appendonly yes
"""


def bundled_redis(state: Path) -> tuple[Part, str]:
    """A Redis of the board's own, and its address with its password."""
    directory = state / "redis"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)
    port, password = ports.choose(1)[0], secrets.token_urlsafe(24)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    _write_private(
        directory / "redis.conf", REDIS_CONF.format(port=port, password=password, directory=directory)
    )
    _write_private(directory / "url", url)
    binary = VALKEY.get()
    where = f"127.0.0.1:{port} ({Path(binary).name})"
    argv = (binary, str(directory / "redis.conf"))
    return Part("redis", argv, lambda _log: answers(url), where), url


def answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def board(state: Path, host: str, port: int) -> list[Part]:
    """Every part but Redis."""
    address = url_of(host, port)
    python = sys.executable
    engine = (python, "-m", "engine.part")
    worker = (python, "-m", "celery", "-A", "chaosboard", "worker", "-l", "INFO")
    quick = ("--without-gossip", "--without-mingle")
    web = (
        python, "-m", "uvicorn", "chaosboard.asgi:application", "--host", host, "--port", str(port),
        "--ws-per-message-deflate", "false",  # each browser's copy would be compressed on its own
    )  # fmt: skip
    beat = (python, "-m", "celery", "-A", "chaosboard", "beat", "-l", "INFO", "--pidfile=")

    def watched() -> bool:
        return warden.watching(state)

    def linked() -> bool:
        return links_answer(state)

    return [
        Part(
            "warden",
            (*engine, "warden", "--state", str(state), "--stay"),
            lambda _log: watched(),
        ),
        Part(
            "links",
            (*engine, "proxy", "--state", str(state), "--stay"),
            lambda _log: linked(),
        ),
        Part(
            "web",
            (*web, "--timeout-graceful-shutdown", "2", "--no-access-log"),
            lambda _log: healthy(f"{address}/healthz"),
            address,
            grace=4,
        ),
        Part(
            "worker-runs",
            (*worker, "-Q", "runs", "-c", "4", "-n", "runs@%h", *quick),
            _worker_is_up,
            grace=10,  # its runs end as aborted, healed and judged
        ),
        Part(
            "worker-control",
            (*worker, "-Q", "control", "-c", "2", "-P", "threads", "-n", "control@%h", *quick),
            _worker_is_up,
        ),
        Part("beat", beat, lambda log: "beat: Starting" in log),
    ]


def links_answer(state: Path) -> bool:
    try:
        proxy.call(state, {"do": "hello"})
    except EngineError:
        return False
    return True


def healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def url_of(host: str, port: int) -> str:
    return f"http://{reached(host)}:{port}"


def reached(host: str) -> str:
    """Where this machine itself reaches what listens on `host`, as it stands in a URL."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    host = everywhere.get(host, host)
    return f"[{host}]" if ":" in host else host


def _worker_is_up(log: str) -> bool:
    return " ready." in log


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
