"""Fixtures from tests/support."""

from tests.support.served import served

__all__ = ["served"]
