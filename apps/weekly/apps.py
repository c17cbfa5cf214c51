from django.apps import AppConfig


class WeeklyConfig(AppConfig):
    name = "apps.weekly"
    label = "weekly"
    default_auto_field = "django.db.models.BigAutoField"
