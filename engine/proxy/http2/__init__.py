"""HTTP/2 as it passes: single requests are answered, reset or delayed, and the others of the connection are not.

A connection that begins as HTTP/2 does (prior knowledge, in clear) is followed from its first byte on, for
its headers can only be read by who has read all of them. What passes is passed on byte by byte as it came,
until the first stream is hit. From then on the node must not see that a stream is missing, or comes later
than one that was opened after it: streams get new numbers there, and headers are written anew, so that they
build on none that came before (RFC 7541, 6.2.3; RFC 9113, 5.1.1).

TLS is passed through untouched, and so is a connection that becomes HTTP/2 by an upgrade.
"""

from engine.proxy.http2.session import Session

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # what a client says first
LEAST = 9  # bytes by which a node's first frame is known


def may_begin(start: bytes) -> bool:
    """Whether what a client said so far may be the beginning of HTTP/2."""
    return bool(start) and PREFACE.startswith(start)


def answers_first(start: bytes) -> bool:
    """Whether a node that speaks before its client speaks HTTP/2: with settings, on no stream."""
    return start[3:LEAST] == b"\x04\0\0\0\0\0" and start[:1] == b"\0" and start[2] % 6 == 0


__all__ = ["LEAST", "PREFACE", "Session", "answers_first", "may_begin"]
