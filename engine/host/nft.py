"""nftables, by libnftables: an order takes a third of a millisecond, where the program nft takes three.

One table of ours for each disturbance, `chaosboard_<mark>`, with a comment that says so: it is made whole and
deleted whole, and a table of that name with another comment, or none, is somebody else's.
"""

import ctypes
import ctypes.util

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
    return f"{_OURS} {mark}"


def read(mark: str) -> str | None:
    """The table of `mark` as `nft list table` tells it; None where there is none."""
    try:
        return order(f"list table inet {table_of(mark)}")
    except EngineError as error:
        if _GONE in str(error):
            return None
        raise


def is_ours(found: str, mark: str) -> bool:
    return f'comment "{comment(mark)}"' in (line.strip() for line in found.splitlines()[:3])


def make(mark: str, body: str) -> None:
    """Makes the table of `mark`; one that is there already is made anew. Raises Refused where it is foreign."""
    name, found = table_of(mark), read(mark)
    if found is not None and not is_ours(found, mark):
        raise Refused(
            f"There is a table {name} in nftables that chaosboard did not make.", "See `nft list tables`."
        )
    anew = f"delete table inet {name}\n" if found is not None else ""
    order(f'{anew}table inet {name} {{\n comment "{comment(mark)}"\n{body}\n}}\n')


def drop(mark: str) -> None:
    """Deletes the table of `mark` where it is ours; that there is none is no error."""
    found = read(mark)
    if found is None or not is_ours(found, mark):
        return
    try:
        order(f"delete table inet {table_of(mark)}")
    except EngineError as error:
        if _GONE not in str(error):
            raise
