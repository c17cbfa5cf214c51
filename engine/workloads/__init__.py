"""Workloads: a client that uses a system while it is hurt, and the checker that judges what it saw."""

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.registry import Registry


@dataclass(frozen=True)
class Workload:
    """The base of all workloads; `checker` names who judges its history."""

    checker: ClassVar[str]

    def line(self) -> str:
        """What it does, in a few words."""
        raise NotImplementedError

    def counts(self, history: Any) -> dict[str, Any]:
        """attempted, acknowledged, failed, unknown, read_back and lost operations; None where unknown."""
        raise NotImplementedError


REGISTRY: Registry[Workload] = Registry(__name__, Workload, "workload")
