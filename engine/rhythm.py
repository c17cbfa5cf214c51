"""When a fault hurts within its time: on and off in a pulse, or at random moments."""

import random
import re
from dataclasses import dataclass
from typing import ClassVar

from engine import units

MOST = 200  # times that one step may hurt


@dataclass(frozen=True)
class Pulse:
    """`2s on, 3s off`: hurts for `on` seconds, heals for `off` seconds, and so on."""

    key: ClassVar[str] = "pulse"
    on: float
    off: float

    @classmethod
    def read(cls, text: str, duration: float) -> "Pulse":
        """Raises ValueError where `text` is no pulse, or one that does not fit into `duration` seconds."""
        match = re.fullmatch(r"\s*(\S+)\s+on,?\s+(\S+)\s+off\s*", text)
        if not match:
            raise ValueError(f"{text!r} is not a pulse; write it like 2s on, 3s off")
        found = cls(units.parse(match[1], "duration"), units.parse(match[2], "duration"))
        if found.on < 0.001 or found.off < 0.001:
            raise ValueError("both parts of a pulse must last, at least 1ms")
        if (times := len(found.windows(duration, random.Random()))) > MOST:
            raise ValueError(f"it would hurt {times:,} times; at most {MOST}")
        return found

    def text(self) -> str:
        return f"{units.show(self.on, 'duration')} on, {units.show(self.off, 'duration')} off"

    def windows(self, duration: float, dice: random.Random) -> list[tuple[float, float]]:
        """(start, length) of each time that it hurts within `duration` seconds; the last may be cut short."""
        whole = self.on + self.off
        starts = [i * whole for i in range(int(duration / whole - 1e-9) + 1)]
        return [(start, min(self.on, duration - start)) for start in starts]


@dataclass(frozen=True)
class Moments:
    """`3 of 2s`: hurts three times for two seconds each, when nobody knows; the times never overlap."""

    key: ClassVar[str] = "moments"
    count: int
    each: float

    @classmethod
    def read(cls, text: str, duration: float) -> "Moments":
        """Raises ValueError where `text` says no moments, or they do not fit into `duration` seconds."""
        match = re.fullmatch(r"\s*(\d+)\s+of\s+(\S+)\s*", text)
        if not match or not 1 <= int(match[1]) <= MOST:
            raise ValueError(f"{text!r} says no moments; write it like 3 of 2s (at most {MOST})")
        found = cls(int(match[1]), units.parse(match[2], "duration"))
        if found.each < 0.001:
            raise ValueError("a moment must last, at least 1ms")
        if found.count * found.each > duration:
            raise ValueError(f"{found.text()} do not fit into {units.show(duration, 'duration')}")
        return found

    def text(self) -> str:
        return f"{self.count} of {units.show(self.each, 'duration')}"

    def windows(self, duration: float, dice: random.Random) -> list[tuple[float, float]]:
        """(start, length) of each moment, in order, as the dice fall."""
        spare = duration - self.count * self.each
        gaps = sorted(dice.uniform(0.0, spare) for _ in range(self.count))
        return [(gap + i * self.each, self.each) for i, gap in enumerate(gaps)]
