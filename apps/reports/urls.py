"""The pages of runs with their reports, under the name `runs`."""

from django.urls import path

from apps.reports import views
from apps.runs.urls import app_name
from apps.runs.urls import urlpatterns as runs

__all__ = ["app_name", "urlpatterns"]

urlpatterns = [
    *runs,
    path("runs/<int:pk>/report/", views.report, name="report"),
    path("runs/<int:pk>/violation/", views.violation, name="violation"),
    path("runs/<int:pk>/report.json", views.report_json, name="report_json"),
]
