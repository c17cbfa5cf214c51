"""Another host, reached through the board's message broker: an agent there hurts and heals."""

import contextlib
from dataclasses import dataclass
from typing import Any

from engine import carriage, far
from engine.drivers import Carrier, patience
from engine.errors import EngineError
from engine.parameters import param


@dataclass(frozen=True)
class Agent(Carrier):
    """A node on another host, on which `python manage.py agent NAME` runs. What hurts it heals there by itself."""

    host: str = param(help="the agent's name, as it was started with")

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        return far.understand(carriage.post(self.host, message, patience(message)))

    def tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(EngineError):
            carriage.post(self.host, message, 0)
