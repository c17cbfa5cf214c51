"""Stops a process for exactly so long, and prints when: `python bench/stop_for.py PID SECONDS`."""

import json
import os
import signal
import sys
import time

CLOSE = 0.002  # seconds before the end from which it no longer sleeps


def main(pid: int, seconds: float) -> None:
    stopped = time.monotonic_ns()
    os.kill(pid, signal.SIGSTOP)
    try:
        end = stopped + round(seconds * 1e9)
        time.sleep(seconds - CLOSE)
        while time.monotonic_ns() < end:
            continue
    finally:
        continued = time.monotonic_ns()
        os.kill(pid, signal.SIGCONT)
    print(json.dumps({"stopped": stopped, "continued": continued}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
