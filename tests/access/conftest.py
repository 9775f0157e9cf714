"""Fixtures from tests/support."""

from tests.support.services.guarded import guarded
from tests.support.services.served import address, served

__all__ = ["address", "guarded", "served"]
