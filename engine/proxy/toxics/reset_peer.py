from typing import ClassVar

from engine.proxy.toxics import Attributes, Stage
from engine.proxy.toxics._reset import _Reset


class ResetPeer(_Reset):
    """Resets the connection, at once or after `timeout` milliseconds; until then nothing passes."""

    carries: ClassVar[tuple[str, ...]] = ("tcp",)
    attributes: ClassVar[Attributes] = {"timeout": 0}

    def start(self, before: Stage | None) -> None:
        self.begin(max(0, self.toxic.attributes["timeout"]) / 1000)
