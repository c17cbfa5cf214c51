"""The switch of a lab: carries the packets between its nodes, and disturbs those that it is told to.

One process, one thread (`server`), on the loop of the link proxy. It holds a packet socket on each node's
cable (`ports`), so it needs no TAP device and, in a namespace of its own, no root. What is asked of the
packets from one node to another is an `effect` on the `lane` between them. Packets may be as large as
segmentation offload makes them; where single ones are lost, doubled, reordered or changed, the offload of
their sender is off for so long, so that a packet is what it would be on a wire. Address resolution (ARP) is
never disturbed: one way that is cut would otherwise soon be both.

Orders are JSON lines over a unix socket:

    {"do": "hello"}    -> {"ports": [names]}
    {"do": "disturb", "mark": "…", "node": name, "others": [names], "direction": "both|to-node|from-node",
     "how": {"cut": true} or {"latency": seconds, …}, "until": epoch}
    {"do": "clear", "mark": "…"}
    {"do": "read"}     -> {"marks": {mark: [[from, to], …]}}

Each disturbance ends at its `until` in the switch itself, whatever has died by then.
"""

import json
import socket
from pathlib import Path
from typing import Any

from engine.errors import EngineError, Unreachable

PATIENCE = 5.0  # seconds for the switch to answer


def call(path: Path, message: dict[str, Any]) -> dict[str, Any]:
    """The answer of the switch at `path`; raises Unreachable where none runs, EngineError where it says no."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(PATIENCE)
            link.connect(str(path))
            link.sendall(json.dumps(message).encode() + b"\n")
            answer = json.loads(link.makefile().readline() or "null")
    except (OSError, ValueError):
        raise Unreachable("The lab's switch does not answer.", "See `python -m engine lab list`.") from None
    if not isinstance(answer, dict) or "error" in answer:
        raise EngineError(str((answer or {}).get("error", "The lab's switch gave no answer.")))
    return answer
