"""Fixtures from tests/support."""

from tests.support.guarded import guarded
from tests.support.served import address, served

__all__ = ["address", "guarded", "served"]
