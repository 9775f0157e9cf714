"""Benchmarks; they call services as the command line does."""

from app.core.roles import sees_unreleased

sees_unreleased.set(True)
