"""Another host, reached by SSH: the engine is copied there, and hurts and heals there."""

from dataclasses import dataclass
from typing import Any

from engine import far
from engine.drivers import Carrier, patience
from engine.parameters import param


@dataclass(frozen=True)
class Ssh(Carrier):
    """A node on another host, reached by SSH. What hurts it heals there by itself when the connection is cut."""

    host: str = param(help="the host's name or address")
    port: int = param(22, help="the port of its sshd", least=1, most=65535)
    user: str = param("", help="who to log in as; you, if empty")
    key: str = param("", help="the private key's file; those of the SSH agent and of ~/.ssh, if empty")
    known_hosts: str = param("", help="the file of known host keys; ~/.ssh/known_hosts if empty")
    python: str = param("python3", help="the Python there, 3.11 or newer")
    folder: str = param("~/.chaosboard", help="where the engine and its undo records are kept there")

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        from engine.drivers import _ssh

        return far.understand(_ssh.ask(self._place(), message, patience(message)))

    def tell(self, message: dict[str, Any]) -> None:
        from engine.drivers import _ssh

        _ssh.tell(self._place(), message)

    def _place(self) -> Any:
        from engine.drivers._ssh_host import Place

        return Place(self.host, self.port, self.user, self.key, self.known_hosts, self.python, self.folder)
