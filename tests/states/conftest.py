"""Fixtures from tests/support."""

import pytest

from tests.support.simulated.small_region import place, train

__all__ = ["place"]


@pytest.fixture
def trained(engine, settings, place):
    version, _ = train(engine, settings, place, "trainer")
    return version
