import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.runs import services


class Command(BaseCommand):
    help = "Lifts the halt: runs may start again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--by", default=getpass.getuser(), help="who lifts it; the system's user if absent"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        lifted = services.resume(options["by"])
        self.stdout.write("The halt is lifted." if lifted else "Nothing was halted.")
