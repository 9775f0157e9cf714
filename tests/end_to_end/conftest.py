"""Fixtures from tests/support."""

from tests.support.served import address, served

__all__ = ["address", "served"]
