from django import conf, forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.weekly import services
from apps.weekly.models import Wish
from apps.weekly.summary import week


class WishForm(forms.ModelForm):
    class Meta:
        model = Wish
        fields = ("wanted", "address", "day", "hour", "timezone")

    def clean(self) -> dict[str, object]:
        cleaned = super().clean() or {}
        if cleaned.get("wanted") and not cleaned.get("address"):
            self.add_error("address", "say to which address it goes")
        return cleaned


def _wish(request: HttpRequest) -> Wish:
    """The one of whoever asks, perhaps not stored yet."""
    found = Wish.objects.filter(user=request.user).first()
    return found or Wish(user=request.user, address=request.user.email)


@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest) -> HttpResponse:
    """Whether, when and where to; and the week as it would look now."""
    wish = _wish(request)
    form = WishForm(request.POST or None, instance=wish)
    if request.method == "POST" and form.is_valid():
        saved = form.save(commit=False)
        saved.since = timezone.now()  # what was due before is not sent after the fact
        saved.save()
        messages.success(request, f"Saved: {saved}." if saved.wanted else "Saved: nothing is sent to you.")
        return redirect("weekly:settings")
    context = {
        "form": form,
        "sent": wish.sent.all()[:5] if wish.pk else [],
        "week": week(timezone.now()),
        "carried": "console" not in conf.settings.EMAIL_BACKEND,
    }
    return render(request, "weekly/settings.html", context, status=400 if form.errors else 200)


@require_GET
def preview(request: HttpRequest) -> HttpResponse:
    """The mail as it would be sent now, as text or as HTML."""
    text, html = services.drawn(_wish(request), week(timezone.now()))
    if request.GET.get("as") == "text":
        return HttpResponse(text, content_type="text/plain; charset=utf-8")
    return HttpResponse(html)
