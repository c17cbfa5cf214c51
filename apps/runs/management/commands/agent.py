import fcntl
import os
import re
from pathlib import Path
from typing import IO, Any

from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.runs import carrying
from engine import far


class Command(BaseCommand):
    help = "Lets the board hurt and heal what runs on this host. Needs REDIS_URL, and no database."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what the board calls this host: the host of its agent driver")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if not re.fullmatch(r"[\w.-]+", name):
            raise CommandError(f"{name!r} is no name for an agent: use letters, digits, dots and dashes.")
        if not settings.REDIS_URL:
            raise CommandError("REDIS_URL is not set: the agent is reached through the board's Redis.")
        state = Path(settings.CHAOSBOARD_STATE) / "agents" / name
        os.environ["CHAOSBOARD_STATE"] = str(state)  # its records are not those of a board on this host
        far.begin(state)
        with _alone(state, name):
            current_app.worker_main(
                ["worker", "-l", "INFO", "-Q", carrying.queue(name), "-n", f"agent@{name}", "-P", "threads",
                 "-c", str(far.AT_ONCE), "--without-gossip", "--without-mingle"]
            )  # fmt: skip


def _alone(state: Path, name: str) -> IO[str]:
    """A lock that this agent holds as long as it lives. Raises CommandError where there is another one."""
    lock = open(state / "agent.lock", "w")  # noqa: SIM115 - held until the process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(f"An agent called {name} runs on this host already.") from None
    try:
        answered = current_app.control.ping(destination=[f"agent@{name}"], timeout=1.0)
    except carrying.AWAY as error:
        raise CommandError(f"Redis cannot be reached: {error}. Is REDIS_URL right?") from None
    if answered:
        raise CommandError(
            f"An agent called {name} runs on another host already; give this one its own name."
        )
    return lock
