"""Fixtures from tests/support."""

from tests.support.services.guarded import guarded

__all__ = ["guarded"]
