"""Toxiproxy's HTTP API: the same addresses, bodies, statuses and titles, so that its clients need no change."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from engine.proxy import bodies, http, metrics
from engine.proxy.proxies import Proxies
from engine.proxy.refusals import Refusal

VERSION = "2.12.0"  # of Toxiproxy, whose API this is
UTF8 = "application/json;charset=utf-8"

Answer = tuple[int, Any]  # a status, and the body as what is to be JSON


class Api:
    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def answer(self, come: bytearray) -> tuple[bytes, bool] | None:
        """An answer to the first request in `come`; see `talk`."""
        try:
            request = http.take_request(come)
        except http.BadRequest as error:
            refusal = Refusal(error.status, str(error))
            return http.answer(error.status, refusal.body(), keep=False), False
        if request is None:
            return self._go_on(come)
        kind = "application/json"
        try:
            if request.headers.get("user-agent", "").startswith("Mozilla/"):
                raise Refusal(HTTPStatus.FORBIDDEN, "User agent not allowed")
            status, content = self._route(request)
            if isinstance(content, str):
                kind = metrics.KIND if request.path == "/metrics" else UTF8
        except Refusal as refusal:
            status, content = refusal.status, refusal.body()
        return http.answer(status, content, kind=kind, keep=request.keep), request.keep

    def _go_on(self, come: bytearray) -> tuple[bytes, bool] | None:
        """A caller that asks whether it may send its body is told so, once."""
        head, end, body = bytes(come).partition(b"\r\n\r\n")
        if not end or body or b"100-continue" not in head.lower():
            return None
        start = head.lower().index(b"100-continue")
        come[start : start + len(b"100-continue")] = b"is-continued"
        return b"HTTP/1.1 100 Continue\r\n\r\n", True

    def _route(self, request: http.Request) -> Answer:
        methods = self._methods(request.path.split("/")[1:])
        if methods is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "404 page not found")
        method = "POST" if request.method == "PATCH" and "PATCH" in methods else request.method
        if method not in methods:
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed")
        return methods[method](request.body)

    def _methods(self, parts: list[str]) -> dict[str, Callable[[bytes], Answer]] | None:
        """What can be asked of the address; None where there is nothing."""
        match parts:
            case ["version"]:
                return {"GET": lambda _: (200, f'{{"version": "{VERSION}"}}\n')}
            case ["metrics"]:
                return {"GET": lambda _: (200, metrics.text(self._proxies.all()))}
            case ["reset"]:
                return {"POST": self._reset}
            case ["populate"]:
                return {"POST": self._populate}
            case ["proxies"]:
                return {"GET": self._index, "POST": self._create}
            case ["proxies", name] if name:
                return self._proxy(name)
            case ["proxies", name, "toxics"] if name:
                return self._toxics(name)
            case ["proxies", name, "toxics", toxic] if name and toxic:
                return self._toxic(name, toxic)
        return None

    def _index(self, _: bytes) -> Answer:
        return 200, {name: bodies.of_proxy(link) for name, link in self._proxies.all().items()}

    def _create(self, body: bytes) -> Answer:
        return 201, bodies.of_proxy(self._proxies.create(bodies.parse(body)))

    def _populate(self, body: bytes) -> Answer:
        links, refusal = self._proxies.populate(bodies.parse(body))
        return refusal.status if refusal else 201, bodies.of_populate(links, refusal)

    def _reset(self, _: bytes) -> Answer:
        self._proxies.reset()
        return 204, None

    def _proxy(self, name: str) -> dict[str, Callable[[bytes], Answer]]:
        def update(body: bytes) -> Answer:
            self._proxies.get(name)
            return 200, bodies.of_proxy(self._proxies.update(name, bodies.parse(body)))

        def delete(_: bytes) -> Answer:
            self._proxies.delete(name)
            return 204, None

        return {
            "GET": lambda _: (200, bodies.of_proxy(self._proxies.get(name))),
            "POST": update, "PATCH": update, "DELETE": delete,
        }  # fmt: skip

    def _toxics(self, name: str) -> dict[str, Callable[[bytes], Answer]]:
        def add(body: bytes) -> Answer:
            self._proxies.get(name)
            return 200, bodies.of_toxic(self._proxies.add_toxic(name, bodies.parse(body)))

        return {
            "GET": lambda _: (200, [bodies.of_toxic(one) for one in self._proxies.get(name).toxics()]),
            "POST": add,
        }

    def _toxic(self, name: str, toxic: str) -> dict[str, Callable[[bytes], Answer]]:
        def update(body: bytes) -> Answer:
            self._proxies.toxic(name, toxic)
            return 200, bodies.of_toxic(self._proxies.update_toxic(name, toxic, bodies.parse(body)))

        def delete(_: bytes) -> Answer:
            self._proxies.remove_toxic(name, toxic)
            return 204, None

        return {
            "GET": lambda _: (200, bodies.of_toxic(self._proxies.toxic(name, toxic))),
            "POST": update, "PATCH": update, "DELETE": delete,
        }  # fmt: skip
