"""Activates hopcheck's plugin in a checkout; the shared fixtures are in `hopcheck.app.fixtures`."""

pytest_plugins = ["hopcheck.pytest_plugin"]
