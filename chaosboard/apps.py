from importlib import import_module

from django.apps import AppConfig


class ChaosboardConfig(AppConfig):
    name = "chaosboard"

    def ready(self) -> None:
        import_module("chaosboard.checks")
