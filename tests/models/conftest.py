"""Fixtures from tests/support."""

from tests.support.simulated.synthetic_backtest import (
    as_incidents,
    city,
    fixed_model,
    grid,
    incidents,
)

__all__ = ["as_incidents", "city", "fixed_model", "grid", "incidents"]
