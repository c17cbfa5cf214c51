"""python -m chaosboard.supervisor [--demo] [--host HOST] [--port PORT]"""

import argparse
import os
import sys
from pathlib import Path

import environ

from chaosboard.supervisor.board import HOME, Board
from chaosboard.supervisor.preparation import CannotStart


def main() -> int:
    environ.Env.read_env(HOME / ".env")
    parser = argparse.ArgumentParser(prog="python -m chaosboard.supervisor", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="also start, register and hurt the demo systems")
    parser.add_argument("--host", default=os.environ.get("HOST") or "127.0.0.1")
    parser.add_argument("--port", default=os.environ.get("PORT") or "8000")
    arguments = parser.parse_args()
    state = Path(os.environ.get("CHAOSBOARD_STATE") or HOME / "var").resolve()
    try:
        if not arguments.port.isdecimal():
            raise CannotStart(f"PORT={arguments.port} is not a port: choose one from 1 to 65535.")
        return Board(state, arguments.host, int(arguments.port), demo=arguments.demo).run()
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
