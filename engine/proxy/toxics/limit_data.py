from typing import ClassVar

from engine.proxy.toxics import Attributes, Stage


class LimitData(Stage):
    """Closes the connection when `bytes` have passed."""

    carries: ClassVar[tuple[str, ...]] = ("tcp",)
    attributes: ClassVar[Attributes] = {"bytes": 0}
    passed = 0

    def start(self, before: Stage | None) -> None:
        if isinstance(before, LimitData):
            self.passed = before.passed

    def take(self, data: bytes) -> None:
        left = max(0, self.toxic.attributes["bytes"] - self.passed)
        self.passed += len(data[:left])
        if left:
            self.next.take(data[:left])
        if len(data) >= left:
            self.flow.finish_early(self)
