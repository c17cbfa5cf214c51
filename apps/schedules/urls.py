from django.urls import path

from apps.schedules import views

app_name = "schedules"
urlpatterns = [
    path("", views.index, name="list"),
    path("add/", views.add, name="add"),
    path("preview/", views.preview, name="preview"),
    path("<int:pk>/edit/", views.edit, name="edit"),
    path("<int:pk>/delete/", views.delete, name="delete"),
]
