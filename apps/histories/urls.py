from django.urls import path

from apps.histories import views

app_name = "histories"

urlpatterns = [
    path("", views.index, name="list"),
    path("add/", views.add, name="add"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/again/", views.again, name="again"),
    path("<int:pk>/describe/", views.describe, name="describe"),
    path("<int:pk>/delete/", views.delete, name="delete"),
    path("<int:pk>/file/", views.file, name="file"),
    path("<int:pk>/result.json", views.result, name="result"),
]
