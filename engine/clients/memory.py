import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.calls import MISMATCH, Answer, Call, Use
from engine.clients import Client, Failed, Kept, Session
from engine.simulated import wrong
from engine.target import Target

PAUSE = 0.002
WHAT = ("register", "cas-register", "kv", "set", "queue", "counter", "bank", "list-append", "rw-register")


@dataclass(frozen=True)
class Memory(Client):
    """Objects in this process, served by whichever simulated node is not down."""

    keeps: ClassVar[frozenset[str]] = frozenset(WHAT)
    replicas: ClassVar[str] = "simulated nodes have no replicas; leave read_from at leader"

    def open(self, target: Target, use: Use) -> Kept:
        return _Kept(target, use)


@dataclass(frozen=True)
class _Kept(Kept):
    target: Target
    use: Use
    objects: dict[str | None, Any] = field(default_factory=dict)

    def session(self, number: int, *, last: bool = False) -> Session:
        return _Session(self)

    async def prepare(self) -> None:
        self.objects.clear()
        self.objects.update(self.use.given)

    async def remove(self) -> None:
        self.objects.clear()


@dataclass(eq=False)
class _Session(Session):
    kept: _Kept

    async def call(self, call: Call) -> Answer:
        up = [node for node in self.kept.target.nodes if not wrong(node).get("down")]
        if not up:
            raise Failed("connection refused")
        self.asked = up[0].name
        while wrong(up[0]).get("paused"):
            await asyncio.sleep(PAUSE)
        return Answer(DO[self.kept.use.what](self.kept.objects, call))

    async def close(self) -> None:
        pass


Objects = dict[Any, Any]


def _register(objects: Objects, call: Call) -> Any:
    there = objects.get(call.key)
    if call.f in ("read", "get"):
        return there
    if call.f == "cas":
        if there != call.value[0]:
            raise Failed(MISMATCH)
        objects[call.key] = call.value[1]
    elif call.f == "append":
        objects[call.key] = (there or "") + call.value
    else:
        objects[call.key] = call.value
    return call.value


def _set(objects: Objects, call: Call) -> Any:
    there = objects.setdefault(None, set())
    if call.f == "read":
        return sorted(there)
    there.add(call.value)
    return call.value


def _queue(objects: Objects, call: Call) -> Any:
    there: list[Any] = objects.setdefault(None, [])
    if call.f == "enqueue":
        there.append(call.value)
        return call.value
    if call.f == "dequeue":
        return there.pop(0) if there else None
    taken = list(there)
    there.clear()
    return taken


def _counter(objects: Objects, call: Call) -> Any:
    if call.f == "read":
        return objects.get(call.key, 0)
    objects[call.key] = objects.get(call.key, 0) + call.value
    return call.value


def _bank(objects: Objects, call: Call) -> Any:
    if call.f == "read":
        return dict(objects)
    source, to, amount = (call.value[name] for name in ("from", "to", "amount"))
    if objects[source] < amount:
        raise Failed("not enough in the account")
    objects[source] -= amount
    objects[to] += amount
    return call.value


def _transaction(objects: Objects, call: Call) -> Any:
    done = []
    for f, key, value in call.value:
        if f == "append":
            objects[key] = [*objects.get(key, ()), value]
        elif f == "w":
            objects[key] = value
        done.append([f, key, objects.get(key) if f == "r" else value])
    return done


DO = {
    "register": _register, "cas-register": _register, "kv": _register, "set": _set, "queue": _queue,
    "counter": _counter, "bank": _bank, "list-append": _transaction, "rw-register": _transaction,
}  # fmt: skip
