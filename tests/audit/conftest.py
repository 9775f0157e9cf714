"""Fixtures from tests/support."""

from tests.support.guarded import guarded

__all__ = ["guarded"]
