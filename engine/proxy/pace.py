"""How the kernel is to treat the proxy: before others while it must be on time, as others while it need not.

Who only forwards does more at once, and so costs less, when it is not woken for each message.
"""

import contextlib
import os

FIRST = -15


class Pace:
    def __init__(self) -> None:
        self._disturbed: set[object] = set()
        self._usual = os.getpriority(os.PRIO_PROCESS, 0)

    def tell(self, link: object, disturbed: bool) -> None:
        """`link` has toxics from now on, or has none."""
        before = bool(self._disturbed)
        (self._disturbed.add if disturbed else self._disturbed.discard)(link)
        if bool(self._disturbed) != before:
            with contextlib.suppress(OSError):  # only root may
                os.setpriority(os.PRIO_PROCESS, 0, self._usual if before else FIRST)
