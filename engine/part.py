"""`python -m engine.part warden|proxy --state DIR`: the parts that outlive whoever starts them.

They import nothing but what they need: so one that was killed is back at once, and a warden also runs on
a host that has only psutil.
"""

import argparse
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description="A part of chaosboard, started by another one.")
    parser.add_argument("part", choices=("warden", "proxy"))
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--stay", action="store_true", help="also while there is nothing to do")
    told = parser.parse_args()
    if told.part == "warden":
        from engine import warden

        return warden.main(told.state.absolute(), stay=told.stay)
    from engine.proxy.server import main as serve

    serve(told.state.absolute(), "none", stay=told.stay)
    return 0


if __name__ == "__main__":
    sys.exit(main())
