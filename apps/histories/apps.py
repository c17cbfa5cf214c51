from django.apps import AppConfig


class HistoriesConfig(AppConfig):
    name = "apps.histories"
    label = "histories"
