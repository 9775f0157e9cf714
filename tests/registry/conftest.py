"""Fixtures from tests/support."""

from tests.support.simulated.champions import versions
from tests.support.simulated.small_region import place

__all__ = ["place", "versions"]
