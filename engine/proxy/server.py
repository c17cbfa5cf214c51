"""The process behind the link proxy: one thread, its links, and those who give it orders."""

import contextlib
import fcntl
import gc
from pathlib import Path

from engine import proxy
from engine.errors import Refused
from engine.proxy import files
from engine.proxy.api import Api
from engine.proxy.listening import listen_at, listen_on, name_of
from engine.proxy.loop import Loop
from engine.proxy.orders import Orders
from engine.proxy.proxies import Proxies
from engine.proxy.talk import Listener
from engine.proxy.upstream import Resolver

USUAL = "127.0.0.1:8474"  # where Toxiproxy's clients look for it
NOWHERE = "none"


def main(folder: Path, api: str | None = None, *, stay: bool = False) -> None:
    """Serves until it is ended. `api` is where the HTTP API listens; None is the usual place, if it is free.

    Where another one serves `folder`, it waits with `stay` to take that one's place, and ends without.

    Raises Refused where the API cannot listen on the place that was named.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "proxy.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if stay else fcntl.LOCK_NB))
        except OSError:
            print("A link proxy runs for this state directory already.")
            return
        with contextlib.suppress(KeyboardInterrupt):
            _serve(folder, api)


def _serve(folder: Path, api: str | None) -> None:
    loop = Loop()
    resolver = Resolver(loop)
    _serve_api(loop, Api(Proxies(loop, resolver)), api)
    _settle()
    orders = Orders(folder, loop, resolver)
    orders.open_again()
    Listener(loop, listen_at(proxy.path(folder)), orders.answer)
    print("The link proxy is up.", flush=True)
    loop.run()


def _serve_api(loop: Loop, api: Api, where: str | None) -> None:
    if where == NOWHERE:
        return
    try:
        listener = listen_on(where or USUAL)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        if where:
            raise Refused(f"The HTTP API cannot listen on {where}: {why}.", "Choose another --api.") from None
        print(f"The HTTP API is not served: {USUAL}: {why}.", flush=True)
        return
    Listener(loop, listener, api.answer)
    print(f"The HTTP API is at http://{name_of(listener)}.", flush=True)


def _settle() -> None:
    """Many files, and nothing that stops it to look for garbage."""
    files.raise_limit()
    gc.collect()
    gc.disable()  # connections hold no cycles once they are closed
