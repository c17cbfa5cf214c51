"""The orders of the board and of faults, one JSON line each; see the package for what is understood."""

import json
import time
from pathlib import Path
from typing import Any

from engine import state
from engine.errors import Refused
from engine.proxy import disturbance
from engine.proxy.lease import lease
from engine.proxy.link import Link
from engine.proxy.loop import Loop
from engine.proxy.openers import NOBODY
from engine.proxy.proxies import PROTOCOLS
from engine.proxy.upstream import Resolver
from engine.target import UDP, split_address

LONGEST = 1 << 20  # bytes of a line


class Orders:
    """The links of one state directory. They are kept in a file and opened again at the next start."""

    def __init__(self, folder: Path, loop: Loop, resolver: Resolver) -> None:
        self._folder, self._loop, self._resolver = folder, loop, resolver
        self._links: dict[str, Link] = {}

    def open_again(self) -> None:
        for listen, upstream in (state.read(self._folder / "links.json") or {}).items():
            try:
                self._open(listen, upstream)
            except (OSError, ValueError) as error:
                print(f"{listen} is not opened again: {error}", flush=True)

    def answer(self, come: bytearray) -> tuple[bytes, bool] | None:
        line, newline, _ = bytes(come).partition(b"\n")
        if not newline and len(come) < LONGEST:
            return None
        del come[: len(line) + 1]
        return json.dumps(self._understand(line)).encode() + b"\n", True

    def _understand(self, line: bytes) -> dict[str, Any]:
        message: Any = None
        try:
            message = json.loads(line)
            return self._do(message)
        except Refused as error:
            return {"error": str(error)}
        except OSError as error:
            return {"error": f"{message.get('listen')} cannot be listened on: {error.strerror or error}."}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return {"error": f"The link proxy does not understand this: {error!r}."}

    def _do(self, message: dict[str, Any]) -> dict[str, Any]:
        what, listen = message["do"], message.get("listen", "")
        if what == "hello":
            return {"links": self._said()}
        if what == "open":
            self._open(listen, message["upstream"])
            self._save()
        elif listen not in self._links:
            return {"error": f"There is no link at {listen}."}
        elif what == "close":
            self._links.pop(listen).stop()
            self._save()
            return {"marks": []}
        elif what in ("disturb", "clear", "read", "tell_apart"):
            getattr(self, f"_{what}")(self._links[listen], message)
        else:
            raise ValueError(f"unknown order {what!r}")
        return {"marks": self._marks(listen)}

    def _open(self, listen: str, upstream: str) -> None:
        kind, where = PROTOCOLS["udp" if upstream.startswith(UDP) else "tcp"], upstream.removeprefix(UDP)
        split_address(where)
        split_address(listen)
        if listen in self._links:
            if kind.protocol != self._links[listen].protocol:
                raise ValueError(f"{listen} is a link of {self._links[listen].protocol} already")
            self._links[listen].upstream = where
            return
        link = kind(listen, listen, where, self._loop, self._resolver)
        link.start()
        self._links[listen] = link

    def _disturb(self, link: Link, message: dict[str, Any]) -> None:
        """In place of what the mark did before."""
        found = disturbance.toxics(message["mark"], message["how"], message["until"], link.protocol)
        self._clear(link, message)
        openers = frozenset(message["openers"]) if "openers" in message else None
        if unknown := (openers or frozenset()) - link.members.keys() - {NOBODY}:
            raise ValueError(f"not told apart: {', '.join(sorted(unknown))}")
        for toxic in found:
            toxic.openers = openers
            link.add(toxic)
            lease(self._loop, link, toxic)

    def _tell_apart(self, link: Link, message: dict[str, Any]) -> None:
        link.tell_apart({name: tuple(ways) for name, ways in message["members"].items()})

    def _clear(self, link: Link, message: dict[str, Any]) -> None:
        link.remove(*(toxic for toxic in link.toxics() if toxic.mark == message["mark"]))

    def _read(self, link: Link, message: dict[str, Any]) -> None:
        """Those whose time is over are gone, also where the clock was set."""
        now = time.time()
        link.remove(*(toxic for toxic in link.toxics() if toxic.until is not None and toxic.until <= now))

    def _marks(self, listen: str) -> list[str]:
        return list(dict.fromkeys(toxic.mark for toxic in self._links[listen].toxics()))

    def _save(self) -> None:
        state.write(self._folder / "links.json", self._said())

    def _said(self) -> dict[str, str]:
        """Where each link forwards to, as it was ordered."""
        return {
            name: (UDP if link.protocol == "udp" else "") + link.upstream
            for name, link in self._links.items()
        }
