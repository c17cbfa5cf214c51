from django.urls import path

from apps.runs.consumers import RunStream

websocket_urlpatterns = [path("ws/runs/<int:pk>/", RunStream.as_asgi())]
