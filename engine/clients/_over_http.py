from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.calls import Place
from engine.clients import Session, ended
from engine.target import Target
from engine.wire import WireError
from engine.wire.http import Http


@dataclass(eq=False)
class OverHttp(Session):
    """One connection to each node of a target, one of which is asked; after anything but a success the next one is."""

    target: Target
    nodes: list[Http]
    place: Place

    @contextmanager
    def present(self) -> Iterator[Http]:
        """The node whose turn it is. Raises Failed or Unknown where it gave no answer."""
        at = self.place.next()
        self.asked = self.target.nodes[at].name
        good = False
        try:
            yield self.nodes[at]
            good = True
        except WireError as error:
            raise ended(error) from None
        finally:
            if not good:
                self.place.failed()

    async def close(self) -> None:
        for node in self.nodes:
            await node.close()
