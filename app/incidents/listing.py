"""List incidents to someone who may see them, with an entry in the audit log."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row

from app.audit import store as audit
from app.incidents.store import PageQuery, page
from app.regions.store import Region


def exported(
    connection: Connection, region: Region, query: PageQuery, n_filters: int, fmt: str
) -> list[Row[Any]]:
    """Return a page of incidents and record that they were listed.

    Without the filters' values: entries cannot be erased, and these may single out an incident.
    """
    rows = page(connection, region, query)
    details: dict[str, Any] = {"incidents": len(rows), "filters": n_filters, "format": fmt}
    audit.record(connection, "export", chain=region.id, **details)
    return rows
