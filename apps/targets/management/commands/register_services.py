from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.targets.services import register
from engine import document
from engine.errors import BadInput, EngineError, Problem


class Command(BaseCommand):
    help = "Registers the services under `targets:` in a file, as `lab up` writes it; known ones are changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            data, _ = document.load(file.read_text(encoding="utf-8"))
            found = data.get("targets") if isinstance(data, dict) else None
            if not isinstance(found, list):
                raise BadInput([Problem("targets", "is missing: a list of services")])
            saved = register(found)
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}", returncode=3) from None
        except EngineError as error:
            raise CommandError(f"{file}: {error}", returncode=3) from None
        for target in saved:
            self.stdout.write(f"{target.name}: {target.nodes.count()} nodes")
