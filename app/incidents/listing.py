"""Record in the audit log that incidents were listed to someone who may see them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from app.audit import store as audit
from app.regions.store import Region


def record_listing(engine: Engine, region: Region, n: int, n_filters: int, fmt: str) -> None:
    """Record that `n` incidents were listed, after they were read and before they are sent.

    Without the filters' values: entries cannot be erased, and these may single out an incident.
    """
    with engine.begin() as connection:
        details: dict[str, Any] = {"incidents": n, "filters": n_filters, "format": fmt}
        audit.record(connection, "export", chain=region.id, **details)
