"""Running in a network of its own, where rules and devices hurt nobody else: with root, or in a user namespace."""

import os

from engine.host import networks
from engine.lab import namespaces

OUTSIDE = "CHAOSBOARD_OUTSIDE"  # the network namespace from which this process came
_THERE = 'ip link set lo up && exec "$@"'


def apart() -> bool:
    """Whether this process is in a network of its own: in that of the host nothing is made."""
    outside = os.environ.get(OUTSIDE)
    return outside is not None and outside != str(networks.number())


def go_apart(*argv: str, without_root: bool = False) -> str:
    """Becomes `argv` in a network of its own, in which it is root of a user namespace where it is not root here, or
    is to do without. Returns where it is there already, and "", or where that is forbidden, and why."""
    if OUTSIDE in os.environ:
        return ""
    root = os.geteuid() == 0 and not without_root
    if why := namespaces.why_not(root):
        return why
    os.environ[OUTSIDE] = str(networks.number())
    own = ["--net"] if root else ["--user", "--map-root-user", "--net", "--mount"]
    os.execvp("unshare", ["unshare", *own, "sh", "-c", _THERE, "sh", *argv])
