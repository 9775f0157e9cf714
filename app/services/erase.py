"""Erasing an incident."""

from __future__ import annotations

from sqlalchemy import Engine

from app.domain.errors import NotFound
from app.storage.incident_writes import delete_incident
from app.storage.regions import get_region


def erase_incident(engine: Engine, region_id: str, external_id: str) -> None:
    """Delete an incident and what its history kept of it.

    Raises:
        NotFound: no such region or incident.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if delete_incident(connection, region.key, external_id) == 0:
            raise NotFound(f"no incident {external_id!r}", field="external_id")
