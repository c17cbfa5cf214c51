"""Hurt a system, watch it, judge it: a plain library, without Django, Celery or Channels."""
