"""`python -m engine.switch.server`: the process of a lab's switch.

Its keeper writes one line of JSON to its standard input: {"path": of the socket for orders, "hub":
descriptor of the namespace with the switch's ends of the cables, "ports": [{name, device, mac, far, space}],
"networks": [numbers of the lab's namespaces]}. When that input ends, the keeper is dead: all that lives in
the lab's namespaces is killed, and the switch ends.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from engine.clock import hurry
from engine.lab import namespaces
from engine.proxy.listening import listen_at
from engine.proxy.loop import Loop
from engine.proxy.talk import Listener
from engine.switch.lanes import Lanes
from engine.switch.orders import Orders
from engine.switch.ports import Port

READY = b"ready\n"
_IN_OR_OVER = 0x1 | 0x10


def main() -> None:
    spec = json.loads(sys.stdin.readline())
    hurry()
    namespaces.enter(spec["hub"])
    loop = Loop()
    orders = Orders(loop, Lanes(loop, [Port(**port) for port in spec["ports"]]))
    Listener(loop, listen_at(Path(spec["path"])), orders.answer)
    loop.watch(0, lambda mask: _leashed(spec), _IN_OR_OVER)
    gc.collect()
    gc.disable()
    os.write(1, READY)
    loop.run()


def _leashed(spec: dict[str, Any]) -> None:
    if not os.read(0, 4096):
        namespaces.empty(spec["networks"])
        os._exit(0)


if __name__ == "__main__":
    main()
