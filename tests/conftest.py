"""Fixtures for all tests."""

pytest_plugins = ["tests.systems", "tests.kernel"]
