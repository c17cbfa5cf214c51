"""The proxies that the HTTP API made. Links that the board opened are not among them."""

from typing import Any

from engine.proxy import bodies, refusals
from engine.proxy.bodies import field, mapping
from engine.proxy.datagrams import DatagramLink
from engine.proxy.lease import lease
from engine.proxy.link import Link
from engine.proxy.loop import Loop
from engine.proxy.refusals import Refusal
from engine.proxy.toxics import Toxic
from engine.proxy.upstream import Resolver

PROTOCOLS: dict[str, type[Link]] = {"tcp": Link, "udp": DatagramLink}  # our own: `protocol` of a proxy


class Proxies:
    def __init__(self, loop: Loop, resolver: Resolver) -> None:
        self._loop, self._resolver = loop, resolver
        self._links: dict[str, Link] = {}

    def all(self) -> dict[str, Link]:
        return dict(sorted(self._links.items()))

    def get(self, name: str) -> Link:
        if name not in self._links:
            raise refusals.no_proxy()
        return self._links[name]

    def create(self, body: Any) -> Link:
        found = mapping(body)
        link, enabled = self._read(found), field(found, "enabled", True)
        if link.name in self._links:
            raise refusals.proxy_exists()
        return self._take(link, enabled)

    def update(self, name: str, body: Any) -> Link:
        """Another address drops the connections there are."""
        link, found = self.get(name), mapping(body)
        listen, upstream = field(found, "listen", link.listen), field(found, "upstream", link.upstream)
        enabled = field(found, "enabled", link.enabled)
        if (not link.listens_on(listen)) or upstream != link.upstream:
            link.stop()
            link.listen, link.upstream = listen, upstream
        if enabled:
            _start(link)
        else:
            link.stop()
        return link

    def delete(self, name: str) -> None:
        self.get(name).stop()
        del self._links[name]

    def populate(self, body: Any) -> tuple[list[Link], Refusal | None]:
        """Those that it made or left as they were, and why it went no further."""
        if body is None:
            body = []
        if not isinstance(body, list):
            return [], refusals.bad_body("a list of proxies is expected")
        done: list[Link] = []
        try:
            wanted = [self._wanted(number, mapping(one)) for number, one in enumerate(body, 1)]
            for link, enabled in wanted:
                done.append(self._replace(link, enabled))
        except Refusal as refusal:
            return done, refusal
        return done, None

    def reset(self) -> None:
        for link in self._links.values():
            _start(link)
            link.remove(*link.toxics())

    def add_toxic(self, name: str, body: Any) -> Toxic:
        link, found = self.get(name), mapping(body)
        toxic = bodies.new_toxic(found)
        if link.toxic(toxic.name) is not None:
            raise refusals.toxic_exists()
        if link.protocol not in toxic.kind.carries:
            raise refusals.bad_body(f"{toxic.type} is only for {toxic.kind.carries[0]}")
        link.add(toxic)
        lease(self._loop, link, toxic)
        return toxic

    def toxic(self, name: str, toxic: str) -> Toxic:
        found = self.get(name).toxic(toxic)
        if found is None:
            raise refusals.no_toxic()
        return found

    def update_toxic(self, name: str, toxic: str, body: Any) -> Toxic:
        link, old = self.get(name), self.toxic(name, toxic)
        new = bodies.changed_toxic(old, mapping(body))
        link.replace(old, new)
        lease(self._loop, link, new)
        return new

    def remove_toxic(self, name: str, toxic: str) -> None:
        self.get(name).remove(self.toxic(name, toxic))

    def _read(self, found: dict[str, Any], where: str = "") -> Link:
        name, upstream = field(found, "name", ""), field(found, "upstream", "")
        for label, value in (("name", name), ("upstream", upstream)):
            if not value:
                raise refusals.missing(label + where)
        protocol = field(found, "protocol", "tcp")
        if protocol not in PROTOCOLS:
            raise refusals.bad_body(f"protocol must be one of {', '.join(PROTOCOLS)}")
        return PROTOCOLS[protocol](name, field(found, "listen", ""), upstream, self._loop, self._resolver)

    def _wanted(self, number: int, found: dict[str, Any]) -> tuple[Link, bool]:
        return self._read(found, f" at proxy {number}"), field(found, "enabled", True)

    def _replace(self, link: Link, enabled: bool) -> Link:
        """One that is the same already stays, with its connections and toxics."""
        old = self._links.get(link.name)
        if (
            old is not None
            and old.listens_on(link.listen)
            and old.upstream == link.upstream
            and old.protocol == link.protocol
        ):
            _start(old) if enabled else old.stop()
            return old
        if old is not None:
            old.stop()
            del self._links[old.name]
        return self._take(link, enabled)

    def _take(self, link: Link, enabled: bool) -> Link:
        if enabled:
            _start(link)
        self._links[link.name] = link
        return link


def _start(link: Link) -> None:
    try:
        link.start()
    except (OSError, ValueError) as error:
        wrong = error if isinstance(error, OSError) else OSError(str(error))
        raise refusals.cannot_listen(link.listen, wrong) from None
