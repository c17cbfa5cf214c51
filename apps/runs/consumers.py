from typing import Any

from channels.db import database_sync_to_async

from apps.live.consumer import EventStream
from apps.live.feed import Feed
from apps.runs.models import Event, Run

AT_ONCE = 1000  # events in one message; a run of a quarter of an hour has about as many


def feed(pk: int, after: int) -> Feed:
    """The events of a run that follow number `after`."""

    @database_sync_to_async
    def replay(after: int) -> list[dict[str, Any]]:
        stored = Event.objects.filter(run_id=pk, n__gt=after).order_by("n")[:AT_ONCE]
        return list(stored.values("n", "at", "kind", "data"))

    return Feed(Run(pk=pk).channel, replay, after, {"run": pk})


class RunStream(EventStream):
    """`/ws/runs/<pk>/?after=<n>`"""

    async def authorise(self) -> bool:
        self.pk = self.scope["url_route"]["kwargs"]["pk"]
        return await Run.objects.filter(pk=self.pk).aexists()

    def feed(self, after: int) -> Feed:
        return feed(self.pk, after)
