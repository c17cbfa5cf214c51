"""The pages of runs with their reports, under the name `runs`."""

from django.urls import path

from apps.reports import bulk_export, views
from apps.reports import review_views as review
from apps.runs.urls import app_name
from apps.runs.urls import urlpatterns as runs

__all__ = ["app_name", "urlpatterns"]

urlpatterns = [
    *runs,
    path("runs/<int:pk>/report/", views.report, name="report"),
    path("runs/<int:pk>/violation/", views.violation, name="violation"),
    path("runs/compare/", review.compare, name="compare"),
    path("runs/export/", bulk_export.export, name="export_many"),
    path("experiments/<int:pk>/trend/", review.experiment_trend, name="experiment_trend"),
    path("services/<int:pk>/trend/", review.service_trend, name="service_trend"),
    path("runs/<int:pk>/report.json", views.report_json, name="report_json"),
    path("runs/<int:pk>/report/<slug:form>", views.export, name="export"),
    path("runs/<int:pk>/share/", views.share, name="share"),
    path("runs/<int:pk>/report/note/", views.note, name="report_note"),
    path("shares/<int:pk>/take-back/", views.take_back, name="take_back"),
    path("attachments/add/", views.attach, name="attach"),
    path("attachments/<int:pk>/", views.attachment, name="attachment"),
    path("attachments/<int:pk>/remove/", views.detach, name="detach"),
]
