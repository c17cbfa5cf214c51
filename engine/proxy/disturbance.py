"""What the faults ask of a link, as the toxics that do it.

`how` is a mapping; times are in seconds, sizes in bytes, shares from 0 to 1:

    delay, jitter, distribution     each way; uniform, normal or pareto
    cut                             true: nothing passes, nothing is lost
    rate                            bytes a second, each way and for each connection
    loss                            the share of connections that are reset, open ones and new ones; of datagrams,
                                    the share that is lost, each way
    corrupt                         the share of pieces in which a bit is flipped
    reset                           after how many seconds connections are reset
    slow_close                      by how much the end of a connection is delayed
    slice, variation, gap           size of the pieces it is cut into, how they vary, the time between them
    limit                           after how many bytes a connection is closed
    duplicate                       the share of datagrams that pass twice
    reorder, behind                 the share of datagrams that are held back, and for how long
    http_abort, http_delay,         which requests and what is done to them, under the names of the toxics'
    grpc_abort                      attributes; times are in milliseconds there
    direction                       both, to-node or from-node: where it acts; both if absent
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.proxy.toxics import Attributes, Toxic, kind_of

STREAMS = {"both": ("upstream", "downstream"), "to-node": ("upstream",), "from-node": ("downstream",)}
_REQUESTS = ("http_abort", "http_delay", "grpc_abort")
_ONCE = ("loss", "reset_peer")  # of the whole connection, whatever the direction; of datagrams, each way

# The keys of `how`, the first of which must be there, and the toxic that they make.
_READERS: dict[tuple[str, ...], tuple[str, Callable[..., Attributes]]] = {
    ("delay", "jitter", "distribution"): (
        "latency",
        lambda delay, jitter=0, distribution="uniform": {
            "latency": delay * 1e3, "jitter": jitter * 1e3, "distribution": distribution,
        },
    ),
    ("cut",): ("cut", lambda cut: {}),
    ("rate",): ("bandwidth", lambda rate: {"rate": rate / 1e3}),
    ("loss",): ("loss", lambda loss: {"share": loss}),
    ("corrupt",): ("corrupt", lambda corrupt: {"share": corrupt}),
    ("reset",): ("reset_peer", lambda reset: {"timeout": reset * 1e3}),
    ("slow_close",): ("slow_close", lambda slow_close: {"delay": slow_close * 1e3}),
    ("slice", "variation", "gap"): (
        "slicer",
        lambda slice, variation=0, gap=0: {
            "average_size": int(slice), "size_variation": int(variation), "delay": gap * 1e6,
        },
    ),
    ("duplicate",): ("duplicate", lambda duplicate: {"share": duplicate}),
    ("reorder", "behind"): (
        "reorder",
        lambda reorder, behind=0.01: {"share": reorder, "delay": behind * 1e3},
    ),
    ("limit",): ("limit_data", lambda limit: {"bytes": int(limit)}),
}  # fmt: skip


def toxics(mark: str, how: Mapping[str, Any], until: float, protocol: str = "tcp") -> list[Toxic]:
    """For a link of `protocol`. Raises ValueError, TypeError or KeyError where `how` is not understood."""
    asked = {key: value for key, value in how.items() if value is not None and value is not False}
    streams = STREAMS[asked.pop("direction", "both")]
    found = []
    for keys, (type, read) in _READERS.items():
        if keys[0] in asked:
            attributes = read(**{key: asked.pop(key) for key in keys if key in asked})
            for stream in streams[:1] if type in _ONCE and protocol == "tcp" else streams:
                found.append(_toxic(mark, type, stream, attributes, until))
    found += [_toxic(mark, type, "upstream", asked.pop(type), until) for type in _REQUESTS if type in asked]
    if asked:
        raise ValueError(f"unknown: {', '.join(asked)}")
    return found


def _toxic(mark: str, type: str, stream: str, attributes: Attributes, until: float) -> Toxic:
    kind = kind_of(type)
    assert kind is not None
    every = {**kind.attributes, **kind.beyond, **attributes}
    if unknown := set(every) - set(kind.attributes) - set(kind.beyond):
        raise ValueError(f"unknown: {', '.join(unknown)}")
    if why := kind.wrong(every):
        raise ValueError(why)
    return Toxic(f"{mark}_{type}_{stream}", type, stream, 1.0, every, kind, mark=mark, until=float(until))
