"""What happens to the packets that pass from one port to another, packet by packet."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from time import monotonic_ns
from typing import Any

from engine.clock import NS
from engine.proxy.chance import DISTRIBUTIONS
from engine.switch.frames import corrupted

OVERTAKEN = 10_000_000  # ns that a reordered packet is held from when it is seen, so that others overtake it
FULL = 0.5  # seconds' worth of packets that wait where the rate is limited; what comes then is lost
LEAST = 256 * 1024  # bytes that may always wait
_CUT, _OTHERS = "cut", ("latency", "loss", "duplicate", "reorder", "corrupt", "rate")

# Takes the time in ns and a packet, and gives what becomes of it, and when.
Carrier = Callable[[int, bytes], Iterator[tuple[int, bytes]]]


@dataclass(frozen=True)
class Effect:
    """Times in seconds, `rate` in bytes a second, all else shares from 0 to 1."""

    cut: bool = False
    latency: float = 0.0
    jitter: float = 0.0
    distribution: str = "uniform"
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    rate: float = 0.0

    @property
    def singles_out(self) -> bool:
        """Whether it matters how large a packet is."""
        return bool(self.loss or self.duplicate or self.reorder or self.corrupt or self.rate)

    def carrier(self) -> "Carrier":
        return _Carrier(self).carry


def read(how: Mapping[str, Any]) -> Effect:
    """Raises ValueError or TypeError where `how` is not understood."""
    asked = {key: value for key, value in how.items() if value is not None and value is not False}
    if unknown := sorted(set(asked) - {field.name for field in fields(Effect)}):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    effect = Effect(**asked)
    if not effect.cut and not any(getattr(effect, name) for name in (*_OTHERS, "jitter")):
        raise ValueError("it says nothing that is to happen to the packets")
    if effect.distribution not in DISTRIBUTIONS:
        raise ValueError(f"no distribution: {effect.distribution}")
    for name in ("loss", "duplicate", "reorder", "corrupt"):
        if not 0 <= getattr(effect, name) <= 1:
            raise ValueError(f"{name} is a share from 0 to 1")
    if min(effect.latency, effect.jitter, effect.rate) < 0:
        raise ValueError("neither times nor rates are negative")
    return effect


class _Carrier:
    def __init__(self, effect: Effect) -> None:
        self._effect = effect
        self._free = 0  # ns: from when on the next packet may be sent, where the rate is limited
        self._draw = DISTRIBUTIONS[effect.distribution]
        self._waits = int(max(FULL, LEAST / effect.rate) * NS) if effect.rate else 0

    def carry(self, due: int, packet: bytes) -> Iterator[tuple[int, bytes]]:
        effect, chance = self._effect, random.random
        if effect.cut or (effect.loss and chance() < effect.loss):
            return
        if effect.corrupt and chance() < effect.corrupt:
            packet = corrupted(packet)
        for _ in range(2 if effect.duplicate and chance() < effect.duplicate else 1):
            sent = self._sent(self._late(due), len(packet))
            if sent is not None:
                yield sent, packet

    def _late(self, due: int) -> int:
        """When a packet that would be sent at `due` is to be. One that is to be overtaken is held from now on: where
        the switch is late, those behind it are long here, and would else be sent in the order in which they came."""
        effect = self._effect
        delay = effect.latency
        if effect.jitter:
            delay = max(self._draw(delay, effect.jitter), 0.0)
        due += int(delay * NS)
        held = effect.reorder and random.random() < effect.reorder
        return max(due, monotonic_ns()) + OVERTAKEN if held else due

    def _sent(self, due: int, size: int) -> int | None:
        if not self._effect.rate:
            return due
        begins = max(due, self._free)
        if begins - due > self._waits:
            return None
        self._free = begins + int(size / self._effect.rate * NS)
        return self._free
