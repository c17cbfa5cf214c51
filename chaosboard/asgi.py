import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chaosboard.settings")
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402  models load only after the line above
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402  as above
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402  as above

from apps.live.consumer import Straight  # noqa: E402  as above
from apps.runs.routing import websocket_urlpatterns  # noqa: E402  as above

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": Straight(
            AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns)))
        ),
    }
)
