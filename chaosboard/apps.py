from importlib import import_module

from django.apps import AppConfig


class BoardConfig(AppConfig):
    name = "chaosboard"

    def ready(self) -> None:
        """Registers the checks, and loads Celery for those who send tasks: whoever halts does not wait for it."""
        import_module("chaosboard.checks")
        import_module("chaosboard.celery")
