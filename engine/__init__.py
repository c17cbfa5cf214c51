"""Hurt a system, watch it, judge it: a plain library, without Django, Celery or Channels."""

VERSION = "0.1.0"  # the same as in pyproject.toml
