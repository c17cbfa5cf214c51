import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.runs import services
from engine.errors import EngineError


class Command(BaseCommand):
    help = "Stops every run, heals everything, and refuses new runs until `resume`."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True)
        parser.add_argument("--by", default=getpass.getuser(), help="who halts; the system's user if absent")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            healed = services.halt(options["reason"], options["by"])
        except EngineError as error:
            raise CommandError(str(error), returncode=3) from None
        for one in healed:
            self.stdout.write(f"{one.record.line}: {one.state}, {one.text}")
        self.stdout.write("Everything is halted. Lift it with: python manage.py resume")
        left = [one for one in healed if one.state != "clean"]
        if left:
            raise CommandError(f"{len(left)} could not be read back as clean; the warden keeps trying.")
