"""Which ports of this host are free."""

import random
import socket


def free(port: int, host: str = "127.0.0.1") -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def choose(count: int, preferred: tuple[int, ...] = ()) -> list[int]:
    """`count` free ports: the preferred ones if all are free, else some at random.

    They lie below the range from which the system draws ports for outgoing connections, so that
    a server that was killed finds its port free when it comes back.
    """
    if len(preferred) == count and all(map(free, preferred)):
        return list(preferred)
    candidates = random.SystemRandom().sample(range(12000, 30000), 2000)
    return [port for port in candidates if free(port)][:count]
