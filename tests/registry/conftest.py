"""Fixtures from tests/support."""

from tests.support.champions import versions
from tests.support.small_region import place

__all__ = ["place", "versions"]
