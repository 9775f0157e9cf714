"""Fixtures from tests/support."""

from tests.support.services.served import served
from tests.support.simulated.small_region import place
from tests.support.simulated.synthetic_backtest import fixed_model

__all__ = ["fixed_model", "place", "served"]
