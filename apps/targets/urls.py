from django.urls import path

from apps.targets import views

app_name = "targets"
urlpatterns = [
    path("", views.index, name="list"),
    path("add/", views.add, name="add"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/edit/", views.edit, name="edit"),
    path("<int:pk>/links/", views.links, name="links"),
    path("<int:pk>/check/", views.check, name="check"),
    path("<int:pk>/delete/", views.delete, name="delete"),
]
