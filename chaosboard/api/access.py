from typing import Any

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from apps.accounts.models import Token


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> Any:
        found = Token.find(token)
        if found is None:
            return None
        request.user = found.user
        return found.user


class Session(APIKeyCookie):
    """Whoever is signed in in a browser; what changes something also needs the page's CSRF token."""

    param_name = "chaosboard_session"

    def __init__(self) -> None:
        super().__init__(csrf=False)  # checked below, after it is known who asks

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        if "Authorization" in request.headers or not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise HttpError(403, "Send the X-CSRFToken of the page, or use a token instead of the session.")
        return request.user
