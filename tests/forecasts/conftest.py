"""Fixtures from tests/support."""

from tests.support.services.served import address, served

__all__ = ["address", "served"]
