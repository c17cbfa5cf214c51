from typing import Any

from channels.db import database_sync_to_async

from apps.live.consumer import EventStream
from apps.runs.models import Event, Run

AT_ONCE = 1000  # events in one message; a run of a quarter of an hour has about as many


class RunStream(EventStream):
    """`/ws/runs/<pk>/?after=<n>`"""

    async def authorise(self) -> bool:
        self.pk = self.scope["url_route"]["kwargs"]["pk"]
        return await Run.objects.filter(pk=self.pk).aexists()

    def channel(self) -> str:
        return Run(pk=self.pk).channel

    def head(self) -> dict[str, Any]:
        return {"run": self.pk}

    @database_sync_to_async
    def replay(self, after: int) -> list[dict[str, Any]]:
        stored = Event.objects.filter(run_id=self.pk, n__gt=after).order_by("n")[:AT_ONCE]
        return list(stored.values("n", "at", "kind", "data"))
