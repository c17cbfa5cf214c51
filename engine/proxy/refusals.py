"""What the HTTP API says no with: a status and a title, the same as Toxiproxy's."""

from http import HTTPStatus


class Refusal(Exception):
    def __init__(self, status: HTTPStatus, title: str, detail: str = "") -> None:
        self.status = status
        self.title = f"{title}: {detail}" if detail else title
        super().__init__(self.title)

    def body(self) -> dict[str, object]:
        """`error` is read by clients of Toxiproxy 2.1 and later, `title` by those before."""
        return {"error": self.title, "title": self.title, "status": int(self.status)}


def bad_body(detail: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "bad request body", detail)


def missing(field: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "missing required field", field)


def no_proxy() -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "proxy not found")


def proxy_exists() -> Refusal:
    return Refusal(HTTPStatus.CONFLICT, "proxy already exists")


def bad_stream() -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "stream was invalid, can be either upstream or downstream")


def bad_type() -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "invalid toxic type")


def toxic_exists() -> Refusal:
    return Refusal(HTTPStatus.CONFLICT, "toxic already exists")


def no_toxic() -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, "toxic not found")


def cannot_listen(address: str, error: OSError) -> Refusal:
    why = (error.strerror or str(error)).lower()
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, f"listen tcp {address}: bind", why)
