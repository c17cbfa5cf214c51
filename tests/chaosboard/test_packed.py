"""What goes over the wire goes packed, and is the same when it is unpacked."""

import gzip

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client

from chaosboard.middleware import Packed

VENDORED = sorted((settings.BASE_DIR / "static/vendor").rglob("*.gz"))
PACKED = {"headers": {"Accept-Encoding": "gzip"}}


def test_the_large_vendored_scripts_lie_packed_beside_themselves() -> None:
    assert {file.name for file in VENDORED} >= {"plotly-cartesian.min.js.gz", "cytoscape.esm.min.mjs.gz"}
    for file in VENDORED:
        assert gzip.decompress(file.read_bytes()) == file.with_suffix("").read_bytes(), file.name


@pytest.mark.parametrize("file", VENDORED, ids=lambda file: file.name)
def test_a_browser_that_takes_packed_scripts_gets_them(client: Client, file: object) -> None:
    path = str(file).partition("/static/")[2].removesuffix(".gz")
    answer = client.get(f"/static/{path}", **PACKED)
    assert answer["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in client.get(f"/static/{path}")


def test_pages_go_packed(client: Client) -> None:
    answer = client.get("/login/", **PACKED)
    assert answer["Content-Encoding"] == "gzip"
    assert b"</html>" in gzip.decompress(answer.content)


def test_a_stream_is_not_held_up_by_packing() -> None:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_ENCODING"] = "gzip"
    packed = Packed(lambda _: HttpResponse())
    answer = packed.process_response(request, StreamingHttpResponse([b"event " * 100]))
    assert "Content-Encoding" not in answer
