"""The process behind the link proxy: one thread, its links, and those who give it orders."""

import contextlib
import fcntl
import gc
import resource
import socket
from pathlib import Path

from engine import proxy
from engine.proxy.loop import Loop
from engine.proxy.orders import Orders
from engine.proxy.talk import Listener
from engine.proxy.upstream import Resolver

FILES = 1 << 20  # open files asked for; each connection takes two


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "proxy.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("A link proxy runs for this state directory already.")
            return
        with contextlib.suppress(KeyboardInterrupt):
            _serve(folder)


def _serve(folder: Path) -> None:
    loop = Loop()
    resolver = Resolver(loop)
    orders = Orders(folder, loop, resolver)
    orders.open_again()
    Listener(loop, _unix_listener(proxy.path(folder)), orders.answer)
    _settle()
    print("The link proxy is up.", flush=True)
    loop.run()


def _settle() -> None:
    """Many files, and nothing that stops it to look for garbage."""
    _raise_limit()
    gc.collect()
    gc.disable()  # connections hold no cycles once they are closed


def _raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in ((FILES, FILES), (hard, hard)):
        if soft < wanted[0]:
            with contextlib.suppress(OSError, ValueError):
                return resource.setrlimit(resource.RLIMIT_NOFILE, wanted)
    return None


def _unix_listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(128)
    return listener
