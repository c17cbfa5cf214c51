"""A browser's end of a websocket. (`channels.testing` asks for Daphne, which chaosboard does not use.)"""

from collections.abc import Callable
from typing import Any

from asgiref.testing import ApplicationCommunicator

DEADLINE = 20.0


class Browser(ApplicationCommunicator):
    def __init__(
        self, application: Callable[..., Any], address: str, headers: dict[str, str] | None = None
    ) -> None:
        path, _, query = address.partition("?")
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": query.encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in (headers or {}).items()],
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> bool:
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(DEADLINE))["type"] == "websocket.accept"

    async def closed(self) -> int:
        """The code with which the socket closes before it says anything."""
        message = await self.receive_output(DEADLINE)
        assert message["type"] == "websocket.close", message
        return int(message["code"])

    async def receive(self) -> str:
        message = await self.receive_output(DEADLINE)
        assert message["type"] == "websocket.send", message
        return message["text"]

    async def disconnect(self) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(DEADLINE)
