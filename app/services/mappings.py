"""Column mappings kept by name with a region: a source is described once, not at every upload."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, Engine

from app.domain.columns import ColumnMapping
from app.domain.errors import InvalidInput, LimitExceeded, NotFound
from app.storage.regions import Region, get_region, set_setting

MAX_MAPPINGS = 100
_NAME = re.compile(r"[a-z0-9_-]{1,63}")


def _kept(region: Region) -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = region.settings.get("mappings", {})
    return kept


def list_mappings(connection: Connection, region_id: str) -> dict[str, dict[str, Any]]:
    """{name: mapping} of a region.

    Raises:
        NotFound: no such region.
    """
    return dict(sorted(_kept(get_region(connection, region_id)).items()))


def save_mapping(engine: Engine, region_id: str, name: str, mapping: ColumnMapping) -> None:
    """Keep a mapping, in place of one of that name.

    Raises:
        NotFound: no such region.
        InvalidInput: the name has other characters than a-z, 0-9, '-' and '_'.
        LimitExceeded: the region has too many of them.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("a mapping's name is 1-63 of a-z, 0-9, '-' and '_'", field="mapping")
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        if name not in _kept(region) and len(_kept(region)) >= MAX_MAPPINGS:
            raise LimitExceeded(f"a region keeps {MAX_MAPPINGS} mappings", field="mapping")
        set_setting(connection, region.key, ("mappings", name), mapping.to_json())


def resolve_mapping(
    connection: Connection, region_id: str, name: str | None, own: ColumnMapping
) -> ColumnMapping:
    """A kept mapping with what the caller says besides; the caller's own words go first.

    Raises:
        NotFound: no such region, no such mapping.
    """
    if name is None:
        return own
    kept = _kept(get_region(connection, region_id)).get(name)
    if kept is None:
        raise NotFound(f"no mapping {name!r} is kept", field="mapping")
    return ColumnMapping(
        {**kept["columns"], **own.columns},
        own.crs or kept["crs"],
        own.time_format or kept["time_format"],
    )
