"""The lab: real systems, brought up on this machine to be hurt."""

from engine.errors import EngineError


class CannotRun(EngineError):
    """This machine cannot run the system; the text says why, in one line."""
