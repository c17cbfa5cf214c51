"""Small clients of network protocols that say exactly how far a request got.

WireError
├── NotSent          it certainly never reached the system
│   ├── NotConnected     refused, or no connection in time
│   └── Overload         all of our own connections were busy
└── Lost             sent, and the connection broke before the answer
"""


class WireError(Exception):
    pass


class NotSent(WireError):
    pass


class NotConnected(NotSent):
    pass


class Overload(NotSent):
    pass


class Lost(WireError):
    pass


def reason(error: BaseException) -> str:
    """An operating system error in words: `connection refused`, not `[Errno 111] Connect call failed`."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text)
