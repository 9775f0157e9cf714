"""Fixtures from tests/support."""

from tests.support.services.served import served

__all__ = ["served"]
