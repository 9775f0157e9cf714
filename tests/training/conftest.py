"""Fixtures from tests/support."""

from tests.support.served import served
from tests.support.small_region import place
from tests.support.synthetic_backtest import fixed_model

__all__ = ["fixed_model", "place", "served"]
