from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import DisallowedHost
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from chaosboard import demo, world
from chaosboard.home import context


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "home.html", context())


@require_POST
def start_demo(request: HttpRequest) -> HttpResponse:
    """Asks the supervisor to start small systems of its own, to register and to hurt them."""
    (settings.CHAOSBOARD_STATE / demo.ASKED).touch()
    messages.success(request, "The demo is starting: its two clusters appear here within a minute.")
    return redirect("home")


@require_safe
def world_map(request: HttpRequest) -> HttpResponse:
    return render(request, "map.html", world.context())


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """This process can do its work: the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok"})


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "403.html", {"status": 403}, status=403)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    message = "The request could not be read. Go back, load the page again and try once more."
    if isinstance(exception, DisallowedHost):
        message = "The board does not go by this name. Add the name in the address to ALLOWED_HOSTS."
    return render(request, "error.html", {"status": 400, "message": message}, status=400)


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return render(request, "403.html", {"status": 403}, status=403)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return render(request, "404.html", {"status": 404}, status=404)


def broken(request: HttpRequest) -> HttpResponse:
    return render(request, "500.html", {"status": 500}, status=500)
