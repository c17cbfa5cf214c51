"""Which ports are free, and who holds those that are not."""

import psutil

from engine.ports import choose, free

__all__ = ["choose", "describe", "free", "holder"]


def holder(port: int) -> str:
    """The process that listens on `port`, as a person would look for it; "" if that cannot be seen."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return describe(connection.pid)
    return ""


def describe(pid: int) -> str:
    try:
        return f"pid {pid} ({' '.join(psutil.Process(pid).cmdline())[:120]})"
    except psutil.Error:
        return f"pid {pid}"
