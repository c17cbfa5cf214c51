"""What there is to know about a lab that is up: `labs/NAME/lab.json` in the state directory."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine import state
from engine.errors import Unreachable
from engine.processes import Identity, status

FILE = "lab.json"


@dataclass(frozen=True)
class Record:
    """`seats` are by name: {"address": its address, "space": the keeper's descriptor of its namespace}.

    `networks` are the numbers of the namespaces that are its own, by name; `owner` is uid and gid of whoever
    brought it up; `documents` are its services as they are registered, once it is `ready`.
    """

    name: str
    folder: str
    system: str
    root: bool
    owner: tuple[int, int]
    keeper: Identity
    network: str
    networks: dict[str, int]
    seats: dict[str, dict[str, Any]]
    ready: bool = False
    documents: list[dict[str, Any]] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return status(self.keeper) != "gone"

    @property
    def switch(self) -> Path:
        """The socket that takes orders for its switch."""
        return Path(self.folder, "switch.sock")

    def seat_at(self, host: str) -> str:
        """The name of the seat with this address; "" where there is none."""
        return next((name for name, seat in self.seats.items() if seat["address"] == host), "")


def folder(root: Path) -> Path:
    return root / "labs"


def write(record: Record) -> None:
    state.write(Path(record.folder, FILE), asdict(record))


def read(folder: Path) -> Record | None:
    found = state.read(folder / FILE)
    return Record(**{**found, "owner": tuple(found["owner"])}) if found else None


def all_of(root: Path) -> list[Record]:
    return [one for path in sorted(folder(root).glob(f"*/{FILE}")) if (one := read(path.parent))]


def named(root: Path, name: str) -> Record:
    """A lab that is up; raises Unreachable where none is."""
    found = read(folder(root) / name)
    if found is None or not found.alive:
        raise Unreachable(f"There is no lab called {name!r} up.", f"python -m engine lab up … --name {name}")
    return found
