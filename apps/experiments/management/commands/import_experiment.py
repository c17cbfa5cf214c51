import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.experiments.services import import_experiment
from engine.errors import EngineError


class Command(BaseCommand):
    help = "Saves the experiment in a YAML file under its name: new, or as its next version."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the file, or - for standard input")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}", returncode=3) from None
        try:
            experiment = import_experiment(text, by="the command line")
        except EngineError as error:
            raise CommandError(f"{file}: {error}", returncode=3) from None
        self.stdout.write(f"{experiment.name}: version {experiment.current.number}")
