"""Fixtures from tests/support."""

from tests.support.small_region import place

__all__ = ["place"]
