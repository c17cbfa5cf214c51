"""A packet as a packet socket gives it: what the kernel says of it (struct virtio_net_hdr), then Ethernet."""

import random

HEADER = 10  # bytes of virtio_net_hdr
TO = slice(HEADER, HEADER + 6)
TYPE = slice(HEADER + 12, HEADER + 14)
ARP = b"\x08\x06"
_PAYLOAD = HEADER + 14 + 20  # behind the headers of Ethernet and IP, where a checksum is sure to notice


def corrupted(packet: bytes) -> bytes:
    """With one bit of what IP carries flipped; without it, of what there is."""
    first = _PAYLOAD if len(packet) > _PAYLOAD else HEADER
    changed = bytearray(packet)
    changed[random.randrange(first, len(packet))] ^= 1 << random.randrange(8)
    return bytes(changed)
