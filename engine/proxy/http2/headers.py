"""Header blocks: read as the node would have read them, and written so that any decoder reads them.

Each block builds on those before it (RFC 7541). So all of a connection's are read, in their order; and what
is written here refers to none of them and leaves none behind, whatever the decoder knows.
"""

import re
from collections.abc import Iterable

import hpack
from hpack.hpack import decode_integer

LONGEST = 1 << 20  # bytes of a list of headers
_LARGEST_TABLE = 1 << 30  # whatever the node allowed its client
_LEARNS_NOTHING = re.compile(rb"[\x80-\xfe]*\Z").match  # only references, of one byte each

Fields = list[tuple[bytes, bytes]]


class Reader:
    """Reads the blocks of one direction of one connection. Raises hpack.HPACKError where one is wrong."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(LONGEST)
        self._decoder.max_allowed_table_size = _LARGEST_TABLE

    def follow(self, block: bytes) -> None:
        """Learns from a block what it says about those to come."""
        if not _LEARNS_NOTHING(block):
            self.read(block)

    def read(self, block: bytes) -> Fields:
        return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]


def write(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return hpack.Encoder().encode([(name, value, True) for name, value in fields], huffman=False)


def updates(block: bytes) -> bytes:
    """The changes of the table's size with which a block begins: who decodes waits for them."""
    at = 0
    while at < len(block) and block[at] & 0xE0 == 0x20:
        at += decode_integer(block[at:], 5)[1]
    return block[:at]
