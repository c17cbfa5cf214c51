"""What must act before Django is loaded: a second matters to whoever halts."""

import argparse
import getpass
from collections.abc import Sequence

from chaosboard.where import STATE
from engine import state


def halt(arguments: Sequence[str]) -> None:
    """Writes the file that halts, at which the warden heals and every run ends; the command does the rest.

    What is wrong with the arguments is left to the command to say.
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--reason", default="")
    parser.add_argument("--by", default=getpass.getuser())
    try:
        given, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError:
        return
    if given.reason.strip() and not {"-h", "--help"} & set(arguments):
        state.halt(STATE, given.by, given.reason.strip())
