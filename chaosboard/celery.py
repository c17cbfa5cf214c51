"""The workers' wiring. What they do, and when, is in `chaosboard.settings` (CELERY_…).

Beat is only a metronome: every tick may arrive twice, late, or from two schedulers.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chaosboard.settings")

app = Celery("chaosboard")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["chaosboard", "apps.runs", "apps.monitors", "apps.histories", "apps.weekly"])
