"""Plug-in families: a class belongs to one by being the class of a file in the family's folder."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from types import ModuleType
from typing import Generic, TypeVar

from engine.errors import BadInput, Problem, there_are

T = TypeVar("T")


class Registry(Generic[T]):
    """The members of one family, by name. A member's name is its file's name, `_` read as `-`.

    A file holds one public class derived from `base`; files that start with `_` hold none.
    """

    def __init__(self, package: str, base: type[T], noun: str) -> None:
        self.package, self.base, self.noun = package, base, noun

    @cached_property
    def _members(self) -> dict[str, type[T]]:
        folder = importlib.import_module(self.package)
        members = {}
        for info in pkgutil.iter_modules(folder.__path__):
            if not info.name.startswith("_"):
                cls = self._class_in(importlib.import_module(f"{self.package}.{info.name}"))
                members[info.name.replace("_", "-")] = cls
        return members

    def _class_in(self, module: ModuleType) -> type[T]:
        found = [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, self.base)
            and value.__module__ == module.__name__
            and not value.__name__.startswith("_")
        ]
        if len(found) != 1:
            raise TypeError(f"{module.__name__} must hold one {self.noun}, it holds {len(found)}")
        return found[0]

    def names(self) -> list[str]:
        return sorted(self._members)

    def __iter__(self) -> Iterator[tuple[str, type[T]]]:
        return iter(sorted(self._members.items()))

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def get(self, name: str, where: str = "", line: int | None = None) -> type[T]:
        """The class called `name`; raises BadInput at `where` with the names there are."""
        if name not in self._members:
            message = f"there is no {self.noun} called {name!r}; {there_are(name, self.names())}"
            raise BadInput([Problem(where, message, line)])
        return self._members[name]

    def name_of(self, cls: type) -> str:
        return cls.__module__.rpartition(".")[2].replace("_", "-")
