"""Lanes: the way of packets from one port to another, and what happens to them there."""

import time
from collections.abc import Iterable, Sequence
from functools import partial

from engine.proxy.loop import Loop
from engine.switch import large
from engine.switch.effect import Carrier, Effect
from engine.switch.frames import ARP, TO, TYPE
from engine.switch.ports import Port

BURST = 32  # packets of one port before others have their turn
TURN = 500_000  # bytes of one port before others have theirs: what is read is sent while processors still have it
LATE = 1_000_000_000  # ns after which a packet is seen at the latest; else the wall clock was set meanwhile
WAITING = 256 << 20  # bytes that may wait on a lane; what comes then is lost


class Lane:
    """From one port to another. `effects` are by mark; what was delayed before they changed still arrives."""

    def __init__(self, loop: Loop, source: Port, target: Port) -> None:
        self.source, self.target = source, target
        self.effects: dict[str, Effect] = {}
        self.clear = True
        self._loop, self._waiting = loop, 0
        self._chain: list[Carrier] = []

    def put(self, mark: str, effect: Effect | None) -> None:
        """In place of what the mark did before; None takes it off."""
        self.effects.pop(mark, None)
        if effect:
            self.effects[mark] = effect
        self._chain = [one.carrier() for one in self.effects.values()]
        self.clear = not self._chain

    def carry(self, packet: bytes, came: int) -> None:
        """Takes a packet that came at `came`, in monotonic ns."""
        packets: Iterable[tuple[int, bytes]] = [(came, packet)]
        for carrier in self._chain:
            packets = [out for due, one in packets for out in carrier(due, one)]
        now = self._loop.instant()
        for due, one in packets:
            if due <= now and not self._waiting:  # what waits may be due before it
                self.target.send(one)
            elif self._waiting < WAITING:
                self._waiting += len(one)
                self._loop.at(due, partial(self._arrive, one))

    def _arrive(self, packet: bytes) -> None:
        self._waiting -= len(packet)
        self.target.send(packet)


class Lanes:
    """Every port to every other one."""

    def __init__(self, loop: Loop, ports: Sequence[Port]) -> None:
        self.ports = {port.name: port for port in ports}
        self._loop, self._buffer = loop, bytearray(large.LARGEST + (1 << 12))
        self._view = memoryview(self._buffer)
        self._clear = dict.fromkeys(self.ports, True)
        self._of = {
            port.name: {other.mac: Lane(loop, port, other) for other in ports if other is not port}
            for port in ports
        }
        for port in ports:
            loop.watch(port.fileno, partial(self._receive, port, self._of[port.name]), 1)

    def lane(self, source: str, target: str) -> Lane:
        return self._of[source][self.ports[target].mac]

    def all(self) -> Iterable[Lane]:
        return (lane for lanes in self._of.values() for lane in lanes.values())

    def disturbed(self) -> None:
        """After lanes changed: single packets where something happens to single packets."""
        for name, port in self.ports.items():
            effects = [e for lane in self._of[name].values() for e in lane.effects.values()]
            port.keep_whole(not any(effect.singles_out for effect in effects))
            port.stamp(bool(effects))
            self._clear[name] = not effects

    def _receive(self, port: Port, lanes: dict[bytes, Lane], mask: int) -> None:
        if not self._clear[port.name]:
            return self._receive_stamped(port, lanes)
        buffer, view, receive = self._buffer, self._view, port.socket.recv_into
        taken = 0
        for _ in range(BURST):
            try:
                size = receive(buffer)
            except OSError:  # nothing more, or its node is gone
                return None
            for lane in _meant(buffer, lanes):
                lane.target.send(view[:size])
            if (taken := taken + size) > TURN:
                return None
        return None

    def _clocks(self) -> tuple[int, int]:
        """The monotonic time, and by how much the wall clock is ahead of it, both in ns: at most so much, for
        who is put aside between the two readings must not take packets for older than they are."""
        wall = time.time_ns()
        now = self._loop.instant()
        return now, wall - now

    def _receive_stamped(self, port: Port, lanes: dict[bytes, Lane]) -> None:
        """As `_receive`, where something happens to packets of the port: by when each really came."""
        buffer, view = self._buffer, self._view
        now, ahead = self._clocks()
        taken = 0
        for _ in range(BURST):
            try:
                size, stamp = port.receive(buffer)
            except OSError:
                return
            came = min(max(stamp - ahead, now - LATE), now) if stamp else self._loop.now
            for lane in _meant(buffer, lanes):
                if lane.clear or buffer[TYPE] == ARP:
                    lane.target.send(view[:size])
                else:
                    lane.carry(bytes(view[:size]), came)
            if (taken := taken + size) > TURN:
                return


def _meant(buffer: bytearray, lanes: dict[bytes, Lane]) -> Iterable[Lane]:
    """The way to whom a packet is sent; all ways of one that is for everybody."""
    lane = lanes.get(bytes(buffer[TO]))
    return (lane,) if lane else lanes.values() if buffer[TO][0] & 1 else ()
