from django.urls import path

from apps.weekly import views

app_name = "weekly"
urlpatterns = [
    path("", views.settings, name="settings"),
    path("preview/", views.preview, name="preview"),
]
