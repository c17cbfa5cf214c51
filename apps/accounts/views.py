from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import services
from engine.errors import BadInput


class LoginForm(AuthenticationForm):
    error_messages = {
        "invalid_login": "That name and password do not go together. Mind capital letters.",
        "inactive": "This account is switched off.",
    }


@method_decorator(login_not_required, name="dispatch")
class Login(LoginView):
    authentication_form = LoginForm
    redirect_authenticated_user = True


@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """The tokens of whoever asks; POST makes one and shows its secret once."""
    context: dict[str, object] = {}
    if request.method == "POST":
        name = request.POST.get("name", "")
        try:
            _token, context["secret"] = services.make_token(request.user, name)
        except BadInput as error:
            context |= {"problems": [p.message for p in error.problems], "name": name}
    context["tokens"] = request.user.tokens.all()
    return render(request, "accounts/account.html", context, status=400 if "problems" in context else 200)


@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(request.user.tokens, pk=pk)
    token.delete()
    messages.success(request, f"The token “{token.name}” opens nothing any more.")
    return redirect("account")
