"""Fixtures from tests/support."""

from tests.support.simulated.small_region import place
from tests.support.simulated.synthetic_backtest import (
    as_incidents,
    city,
    fixed_model,
    grid,
    incidents,
    origins,
    protocol,
    results,
)

__all__ = [
    "as_incidents",
    "city",
    "fixed_model",
    "grid",
    "incidents",
    "origins",
    "place",
    "protocol",
    "results",
]
