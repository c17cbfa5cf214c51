"""The report of a run is added by `apps.reports.urls`, which the board includes."""

from django.urls import path

from apps.runs import review_views as review
from apps.runs import views

app_name = "runs"
urlpatterns = [
    path("runs/", review.index, name="list"),
    path("runs/act/", review.act, name="act"),
    path("runs/keeping/", review.keeping, name="keeping"),
    path("runs/<int:pk>/judgements/", review.judgements, name="judgements"),
    path("runs/<int:pk>/judge/", review.judge_again, name="judge_again"),
    path("runs/<int:pk>/", views.detail, name="detail"),
    path("runs/<int:pk>/stream/", views.stream, name="stream"),
    path("runs/<int:pk>/abort/", views.abort, name="abort"),
    path("experiments/<int:pk>/start/", views.start, name="start"),
    path("hurt/", views.hurt, name="hurt"),
    path("hurt/<slug:record>/heal/", views.heal, name="heal"),
    path("hurt/<slug:record>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("halt/", views.halt, name="halt"),
    path("halt/resume/", views.resume, name="resume"),
]
