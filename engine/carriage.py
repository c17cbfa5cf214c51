"""How a message reaches the agent of another host: given by the board, because the engine knows no broker."""

from collections.abc import Callable
from typing import Any

from engine.errors import Unreachable

Post = Callable[[str, dict[str, Any], float], dict[str, Any]]
_post: Post | None = None


def use(post: Post) -> None:
    """From now on, `post(host, message, seconds)` carries messages: it returns the answer, or raises
    Unreachable where none came within `seconds`. With 0 seconds it waits for nothing and returns {}."""
    global _post
    _post = post


def post(host: str, message: dict[str, Any], seconds: float) -> dict[str, Any]:
    if _post is None:
        raise Unreachable(
            f"The agent of {host} is reached only through the board.", "Use the board, or the ssh driver."
        )
    return _post(host, message, seconds)
