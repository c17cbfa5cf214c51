"""nftables, by libnftables: an order takes a third of a millisecond, where the program nft takes three.

One table of ours for each disturbance, `chaosboard_<mark>`, with a comment that says so, and the sign of the state
directory that it was made for: it is made whole and deleted whole, and a table of that name with another comment,
or none, is somebody else's.
"""

import ctypes
import ctypes.util
import re

from engine import state
from engine.errors import EngineError, Refused

_GONE = "No such file or directory"
_OURS = "chaosboard"


def absent() -> str:
    """Why there is no nftables here; "" where there is."""
    try:
        _library()
    except EngineError as error:
        return str(error)
    return ""


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        raise EngineError(
            "libnftables is missing on this host.",
            "Install it: the package is called libnftables1 on Debian.",
        ) from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


def order(text: str) -> str:
    """Has the kernel do it in the network namespace of this thread, all or nothing; raises EngineError."""
    library = _library()
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    if not context:
        raise EngineError(
            "nftables cannot be reached.", "Is there memory left, and a netlink socket allowed?"
        )
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        if library.nft_run_cmd_from_buffer(context, text.encode()):
            told = (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace").strip()
            raise EngineError(f"nftables refused an order: {told or 'without a word'}")
        return (library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace")
    finally:
        library.nft_ctx_free(context)


def table_of(mark: str) -> str:
    return f"{_OURS}_{mark}"


def comment(mark: str) -> str:
    return f"{_OURS} {mark} {state.sign(state.root())}"


FAMILIES = ("inet", "netdev")


def read(mark: str) -> list[str]:
    """The tables of `mark`, as `nft list table` tells them: one of each family at most."""
    found = []
    for family in FAMILIES:
        try:
            found.append(order(f"list table {family} {table_of(mark)}"))
        except EngineError as error:
            if _GONE not in str(error):
                raise
    return found


def is_ours(found: str, mark: str) -> bool:
    return owner(found, mark) is not None


def owner(found: str, mark: str) -> str | None:
    """The sign of the state directory for which the table was made; None where chaosboard did not make it."""
    head = "\n".join(found.splitlines()[:3])
    comment = re.search(rf'^\s*comment "{_OURS} {re.escape(mark)}(?: (\w+))?"$', head, re.MULTILINE)
    return (comment[1] or "") if comment else None


def make(mark: str, bodies: dict[str, str]) -> None:
    """Makes the tables of `mark`, by family; those that are there already are made anew.

    Raises Refused where one is foreign.
    """
    refuse_foreign(mark)
    name = table_of(mark)
    anew = "".join(f"delete table {_family(one)} {name}\n" for one in read(mark))
    tables = [
        f'table {family} {name} {{\n comment "{comment(mark)}"\n{body}\n}}\n'
        for family, body in bodies.items()
    ]
    order(anew + "".join(tables))


def refuse_foreign(mark: str) -> None:
    if not all(is_ours(one, mark) for one in read(mark)):
        raise Refused(
            f"There is a table {table_of(mark)} in nftables that chaosboard did not make.",
            "See `nft list tables`.",
        )


def _family(table: str) -> str:
    return table.split()[1]


def drop(mark: str) -> None:
    """Deletes the tables of `mark` that are ours; that there are none is no error."""
    for one in read(mark):
        if not is_ours(one, mark):
            continue
        try:
            order(f"delete table {_family(one)} {table_of(mark)}")
        except EngineError as error:
            if _GONE not in str(error):
                raise
