"""The link proxy: listens where clients reach a node, forwards to the node, and disturbs what passes.

One process, one thread: `loop` (epoll and a delay line), `link` (a listener and its toxics), `connection` and
`flow` (what passes), `toxics/` (one file each). It takes orders in two ways, and neither sees the links of
the other: `api` is Toxiproxy's HTTP API, and `orders` is spoken here, over a unix socket in the state
directory that the proxy serves, one JSON line a call:

    {"do": "hello"}                  -> {"links": {listen: upstream}}
    {"do": "open", "listen": "127.0.0.1:8080", "upstream": "127.0.0.1:18080"}
    {"do": "close", "listen": …}
    {"do": "tell_apart", "listen": …, "members": {"n1": ["/run/n1.pid"], "n2": [4711]}}
    {"do": "disturb", "listen": …, "mark": "…", "how": {"delay": 0.1, "jitter": 0.0}, "until": epoch,
     "openers": ["n1", ""]}
    {"do": "clear", "listen": …, "mark": "…"}
    {"do": "read", "listen": …}      -> {"marks": [...]}

What `how` may say is in `disturbance`. `openers` are the members whose connections are meant, as `tell_apart`
named them by pid files or pids, and "" is everybody else; without it, all connections are meant. Each
disturbance ends at its `until` in the proxy itself, whatever has died by then.
"""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from engine.errors import EngineError, Unreachable
from engine.starting import start_part

LONGEST = 103  # bytes in the name of a unix socket; Linux allows 107
COMES_UP = 20.0  # seconds for the proxy to come up, on a host that has much else to do
PATIENCE = 5.0  # seconds for it to answer


class Gone(Unreachable):
    """No proxy runs, and whatever it disturbed has ended with it. One that only hangs is not gone."""


def path(folder: Path) -> Path:
    """The socket of the proxy; raises EngineError where the system has no socket of so long a name."""
    found = folder / "proxy.sock"
    if len(os.fsencode(found)) > LONGEST:
        raise EngineError(
            f"The path of the state directory is too long for a socket in it: {folder}.",
            f"Set CHAOSBOARD_STATE to one of at most {LONGEST - len('/proxy.sock')} characters.",
        )
    return found


def call(folder: Path, message: dict[str, Any]) -> dict[str, Any]:
    """The proxy's answer; raises Gone where none runs, Unreachable where it is silent, EngineError where it says no."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(PATIENCE)
            link.connect(str(path(folder)))
            link.sendall(json.dumps(message).encode() + b"\n")
            answer = json.loads(link.makefile().readline() or "null")
    except (ConnectionError, FileNotFoundError):
        raise Gone("The link proxy does not run.", "It runs while the board runs.") from None
    except (OSError, ValueError):
        raise Unreachable("The link proxy does not answer.", "It runs while the board runs.") from None
    if not isinstance(answer, dict):
        raise Gone("The link proxy ended before it had answered.", "It runs while the board runs.")
    if "error" in answer:
        raise EngineError(str(answer["error"]))
    return answer


def ensure(folder: Path) -> bool:
    """Starts the proxy of the state directory where none answers; True where it did."""
    try:
        call(folder, {"do": "hello"})
        return False
    except Unreachable:
        pass
    start_part("proxy", "links", folder)
    wait(folder)
    return True


def wait(folder: Path) -> None:
    """Until the proxy of the state directory answers; raises Unreachable where it does not."""
    end = time.monotonic() + COMES_UP
    while time.monotonic() < end:
        try:
            call(folder, {"do": "hello"})
            return
        except Unreachable:
            time.sleep(0.02)
    raise Unreachable("The link proxy did not come up.", f"See {folder / 'proxy.log'}.")
