"""The same feed as server-sent events, for networks that let no websocket through."""

import contextlib
from collections.abc import AsyncIterator

from django.http import HttpRequest, StreamingHttpResponse

from apps.live.feed import Feed, number


def after(request: HttpRequest) -> int:
    """What the browser has: its own word, or that of its reconnection."""
    return number(request.headers.get("Last-Event-ID") or request.GET.get("after", ""))


def response(feed: Feed) -> StreamingHttpResponse:
    answer = StreamingHttpResponse(_lines(feed), content_type="text/event-stream")
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"  # nginx would hold the events back
    return answer


async def _lines(feed: Feed) -> AsyncIterator[bytes]:
    """One event a message, with the number of its last event as its id; a comment where there was nothing."""
    yield b": the events follow\n\n"
    async with contextlib.aclosing(feed.messages()) as messages:
        async for text in messages:
            yield b"id: %d\ndata: %s\n\n" % (feed.next - 1, text.encode()) if text else b":\n\n"
