"""Benchmarks and drills; they call services as the command line does."""

from app.domain.access import sees_unreleased

sees_unreleased.set(True)
