"""One report for whoever has its link, without a login."""

from django.urls import path

from apps.reports import views

app_name = "shared"
urlpatterns = [
    path("<str:token>/", views.shared, name="report"),
    path("<str:token>/<slug:form>", views.shared_file, name="file"),
]
