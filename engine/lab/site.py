"""Where a system is laid out: its directory, its places, and the ports that its servers get there."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import ports
from engine.lab import CannotRun
from engine.lab.links import Door, Links
from engine.lab.places import Place


@dataclass(frozen=True)
class Site:
    """`preferred` are ports to be taken on loopback where all of them are free; `links` are made as they are needed."""

    directory: Path
    places: tuple[Place, ...]
    preferred: tuple[int, ...] = ()
    links: Links | None = None

    @property
    def hosts(self) -> list[str]:
        return [place.host for place in self.places]

    def ports(self, *standard: int) -> list[tuple[int, ...]]:
        """For each place, ports for the `standard` ones: these where the place has an address of its own,
        free ones where it shares a loopback address with others."""
        shared = [place for place in self.places if place.host.startswith("127.")]
        chosen = ports.choose(len(shared) * len(standard), self.preferred)
        rows = iter(_rows(chosen, len(shared)))
        return [next(rows) if place in shared else standard for place in self.places]

    def ports_with(self, beyond: int, *standard: int) -> list[tuple[int, ...]]:
        """As `ports`; the port that lies `beyond` the first one is free too. Raises CannotRun."""
        for _ in range(50):
            found = self.ports(*standard)
            if all(ports.free(row[0] + beyond) for row in found):
                return found
        raise CannotRun("too few ports are free")

    def door(self, address: str) -> Door:
        """Where others reach `address`: through a link proxy, if the site has any."""
        return self.links.door(address) if self.links else Door(address, address)

    def clear(self, *names: str) -> Path:
        """A path inside this directory at which there is nothing."""
        path = self.directory.joinpath(*names)
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        return path

    def fresh(self, *names: str) -> Path:
        """An empty directory inside this one."""
        folder = self.clear(*names)
        folder.mkdir(parents=True)
        return folder


def _rows(numbers: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """The first `count` numbers are the first ports of each, the next `count` the second ones, …"""
    return [tuple(numbers[i::count]) for i in range(count)]
