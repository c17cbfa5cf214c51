from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView

from chaosboard import views
from chaosboard.api import api

urlpatterns = [
    path("", views.home, name="home"),
    path("map/", views.world_map, name="map"),
    path("demo/", views.start_demo, name="start_demo"),
    path("", include("apps.accounts.urls")),
    path("", include("apps.reports.urls")),
    path("shared/", include("apps.reports.shared_urls")),
    path("services/", include("apps.targets.urls")),
    path("experiments/", include("apps.experiments.urls")),
    path("histories/", include("apps.histories.urls")),
    path("schedules/", include("apps.schedules.urls")),
    path("weekly/", include("apps.weekly.urls")),
    path("api/v1/", api.urls),
    path(
        "favicon.ico", login_not_required(RedirectView.as_view(url="/static/img/favicon.svg")), name="favicon"
    ),
    path("healthz", login_not_required(views.healthz), name="healthz"),
    path("readyz", login_not_required(views.readyz), name="readyz"),
]

handler400 = "chaosboard.views.bad_request"
handler403 = "chaosboard.views.forbidden"
handler404 = "chaosboard.views.not_found"
handler500 = "chaosboard.views.broken"
