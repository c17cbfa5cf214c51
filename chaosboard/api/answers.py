"""What the API understands and how it says that something is wrong."""

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from engine.errors import BadInput, EngineError, Problem

WHO = "Say who you are: send Authorization: Bearer with a token from the page “Account”, or sign in."


def body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that was sent; raises BadInput."""
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise BadInput([Problem("", f"the body is not JSON: {error}")]) from None
    if not isinstance(data, dict):
        raise BadInput([Problem("", "the body must be a JSON object")])
    return data


def takes(
    properties: dict[str, Any], required: list[str], *, media: str = "application/json"
) -> dict[str, Any]:
    """The `openapi_extra` of an endpoint that reads its body itself."""
    schema = {"type": "object", "properties": properties, "required": required}
    return {"requestBody": {"required": True, "content": {media: {"schema": schema}}}}


def problem(where: str, message: str, line: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"where": where, "message": message}
    return found | {"line": line} if line else found


def install(api: NinjaAPI) -> None:
    def answer(request: HttpRequest, status: int, error: str, problems: Any = ()) -> HttpResponse:
        return api.create_response(request, {"error": error, "problems": list(problems)}, status=status)

    @api.exception_handler(BadInput)
    def bad_input(request: HttpRequest, error: BadInput) -> HttpResponse:
        problems = [problem(p.where, p.message, p.line) for p in error.problems]
        return answer(request, 400, str(error), problems)

    @api.exception_handler(EngineError)
    def refused(request: HttpRequest, error: EngineError) -> HttpResponse:
        return answer(request, 409, str(error))

    @api.exception_handler(ValidationError)
    def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
        problems = [problem(".".join(map(str, e["loc"][1:])), e["msg"]) for e in error.errors]
        return answer(request, 400, "; ".join(f"{p['where']}: {p['message']}" for p in problems), problems)

    @api.exception_handler(AuthenticationError)
    def unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        return answer(request, 401, WHO)

    @api.exception_handler(Http404)
    def missing(request: HttpRequest, error: Http404) -> HttpResponse:
        return answer(request, 404, "There is nothing with this number; it may have been deleted.")

    @api.exception_handler(HttpError)
    def other(request: HttpRequest, error: HttpError) -> HttpResponse:
        return answer(request, error.status_code, str(error))
