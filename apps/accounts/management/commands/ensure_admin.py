from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.accounts.services import ensure_admin


class Command(BaseCommand):
    help = "Makes the first administrator and prints the password, once; prints nothing where there is one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="admin")

    def handle(self, *args: Any, **options: Any) -> None:
        if password := ensure_admin(options["name"]):
            self.stdout.write(f"login: {options['name']}  password: {password}")
