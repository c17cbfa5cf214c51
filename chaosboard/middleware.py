from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import render

API = "/api/"
OPEN = (API, "/healthz", "/readyz")
Next = Callable[[HttpRequest], HttpResponse]


class Packed(GZipMiddleware):
    """Pages go packed over the wire, with Django's guard against guessing from their length. A stream is not held up."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return response if response.streaming else super().process_response(request, response)


class UploadLimit:
    """Answers a request that is too large in words, before anything reads it."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = settings.CHAOSBOARD_LARGE.get(request.path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        if "chunked" in request.headers.get("Transfer-Encoding", ""):
            return _answer(request, 411, "Say how long the request is: send Content-Length, not chunks.")
        try:
            length = int(request.headers.get("Content-Length") or 0)
        except ValueError:
            return _answer(request, 400, "Content-Length is not a number.")
        if length > limit:
            message = (
                f"That is too large: {length / 1e6:.1f} MB were sent, and chaosboard takes"
                f" {limit / 1e6:.0f} MB at most. Nothing was stored."
            )
            return _answer(request, 413, message)
        return self.get_response(request)


def _answer(request: HttpRequest, status: int, message: str) -> HttpResponse:
    if request.path.startswith(API):
        return JsonResponse({"error": message, "problems": []}, status=status)
    return render(request, "error.html", {"status": status, "message": message}, status=status)


class ApiErrors:
    """What the API's own handlers do not see, such as a wrong method, is also answered in JSON."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        json = response.headers.get("Content-Type", "").startswith("application/json")
        if not request.path.startswith(API) or response.status_code < 400 or json:
            return response
        words = {404: "There is no such address in the API; see /api/v1/openapi.json."}
        phrase = HTTPStatus(response.status_code).phrase
        answer = {"error": words.get(response.status_code, f"{phrase}."), "problems": []}
        kept = {name: response.headers[name] for name in ("Allow",) if name in response.headers}
        return JsonResponse(answer, status=response.status_code, headers=kept)


class LoginRequired(LoginRequiredMiddleware):
    """Every page wants a login; the API says 401 itself, and the health checks are open."""

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> HttpResponse | None:
        if request.path.startswith(OPEN):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)
