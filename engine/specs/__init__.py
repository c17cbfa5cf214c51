"""Specs say what correct behaviour is, one operation at a time: pure steps from state to state."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, NoReturn

from engine.columns import Columns
from engine.errors import BadInput, Problem, there_are
from engine.history import Op
from engine.registry import Registry
from engine.samples import Outcome

State = Hashable
Call = tuple[Any, ...]  # what of an operation counts, its name first: ("write", 7), ("cas", 1, 2)


class _Illegal:
    def __repr__(self) -> str:
        return "ILLEGAL"


ILLEGAL: Final = _Illegal()


@dataclass(frozen=True)
class Spec(ABC):
    """The base of all specs."""

    keyed: ClassVar[bool] = True  # objects of different keys have nothing to do with one another
    initial: ClassVar[State] = None
    names: ClassVar[tuple[str, ...]]  # the f of its operations

    @abstractmethod
    def begun(self, op: Op) -> Call | None:
        """The call of a pending operation; None where it changes nothing."""

    @abstractmethod
    def ended(self, op: Op) -> Call:
        """The call of an operation that was answered, with what counts of the answer."""

    @abstractmethod
    def step(self, state: State, call: Call) -> State | _Illegal:
        """The state after `call` in `state`, or ILLEGAL where it could not have been answered so."""

    def looks(self, call: Call) -> bool:
        """Does it never change the state?"""
        return bool(call[0] == "read")

    def refused(self, op: Op) -> Call | None:
        """The call of a failed operation that tells something all the same; else None."""
        return None

    def starts(self, calls: Sequence[Call], all_calls: Sequence[Call]) -> list[State] | None:
        """States of which one may stand for any state that `calls` can begin in, after any of all there are.

        None where there are too many.
        """
        return None

    def helps(self, call: Call, others: Sequence[Call]) -> bool:
        """Could `call`, had it happened, make possible what without it is not? True where unsure."""
        return True

    def parts(self, op: Op) -> list[Op]:
        """The operations that it stands for, where it is no single one."""
        return [op]

    def call(self, op: Op) -> Call | None:
        """None where the operation shows nothing and changes nothing. Raises BadInput if it is none of the spec's."""
        if op.f not in self.names:
            self.bad(op, f"{op.f!r} is no operation of {self.name}; {there_are(op.f, self.names)}")
        if op.outcome is Outcome.OK:
            return self.ended(op)
        return self.refused(op) if op.outcome is Outcome.FAIL else self.begun(op)

    @property
    def name(self) -> str:
        return REGISTRY.name_of(type(self))

    def bad(self, op: Op, message: str) -> NoReturn:
        raise BadInput([Problem(f"operation {op.index}", message)])


def refuse_others(c: Columns, what: str, names: Sequence[str]) -> None:
    """Raises BadInput naming the first operation that `what` does not know."""
    for name in sorted(c.names() - {*names}):  # `set` is a spec of this package
        row = int(c.named(name).argmax())
        message = f"{name!r} is no operation of {what}; {there_are(name, names)}"
        raise BadInput([Problem(f"operation {c.index[row]}", message)])


def freeze(value: Any) -> Any:
    """Hashable, and different where the JSON is different: lists as tuples, true apart from 1."""
    if isinstance(value, list | tuple):
        return tuple(map(freeze, value))
    if isinstance(value, dict):
        return ("{}", *sorted(((k, freeze(v)) for k, v in value.items()), key=repr))
    return ("bool", value) if isinstance(value, bool) else value


OTHER = ("a value that no operation here names",)


def named(calls: Sequence[Call], all_calls: Sequence[Call]) -> list[State]:
    """For registers: of what can have been there what `calls` ask for, and one that stands for all others."""
    there = {None, *(call[-1] for call in all_calls if call[0] in ("write", "cas"))}
    asked_for = dict.fromkeys([None, *(call[1] for call in calls if call[0] != "write")])
    return [*(value for value in asked_for if value in there), OTHER]


def asked(call: Call, others: Sequence[Call]) -> bool:
    """For registers: is what `call` writes asked for, or is there a cas that was answered "not equal"?"""
    return any(other[0] == "not" or (other[0] != "write" and other[1] == call[-1]) for other in others)


def one_of(op: Op, result: Any) -> Op:
    """A part of `op` that was answered `result`."""
    return replace(op, result=result)


REGISTRY: Registry[Spec] = Registry(__name__, Spec, "spec")  # type: ignore[type-abstract]  # the family's base
