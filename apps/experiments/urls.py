from django.urls import path

from apps.experiments import views

app_name = "experiments"
urlpatterns = [
    path("", views.index, name="list"),
    path("add/", views.add, name="add"),
    path("faults/", views.faults, name="faults"),
    path("draw/", views.draw, name="draw"),
    path("preview/", views.preview, name="preview"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/edit/", views.edit, name="edit"),
    path("<int:pk>/delete/", views.delete, name="delete"),
    path("<int:pk>/<int:number>.yaml", views.document, name="document"),
]
