"""Versions made for what a region was before its area, CRS or time zone changed."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, literal, select

from app.core.db.tables import champions, model_versions, outdated_versions


def outdate_versions(connection: Connection, region_key: int, changed: str) -> list[str]:
    """Mark all versions of a region and remove its champion; return those that were not marked.

    Their cells or hours are not the region's any more: no forecast is better than a wrong one. The next
    registered version becomes champion.

    Args:
        changed: what changed, such as `timezone`.
    """
    mine = select(model_versions.c.region_key, model_versions.c.version, literal(changed)).where(
        model_versions.c.region_key == region_key, ~is_outdated()
    )
    into = ["region_key", "version", "changed"]
    marked = insert(outdated_versions).from_select(into, mine)
    found = connection.scalars(marked.returning(outdated_versions.c.version)).all()
    connection.execute(delete(champions).where(champions.c.region_key == region_key))
    return sorted(found)


def is_outdated() -> ColumnElement[bool]:
    """Return the condition on `model_versions` that a version is marked."""
    return has_row_in(outdated_versions)


def has_row_in(table: Table) -> ColumnElement[bool]:
    """Return the condition on `model_versions` that a table of versions has the version."""
    same = (
        table.c.region_key == model_versions.c.region_key,
        table.c.version == model_versions.c.version,
    )
    return select(table.c.version).where(*same).exists()


def outdated_of(connection: Connection, region_key: int) -> dict[str, str]:
    """Return {version: what changed} of a region's marked versions."""
    query = select(outdated_versions.c.version, outdated_versions.c.changed)
    rows = connection.execute(query.where(outdated_versions.c.region_key == region_key))
    return {str(version): str(changed) for version, changed in rows}


def depending_versions(connection: Connection, region_key: int) -> int:
    """Count the versions of a region that are not marked."""
    query = select(func.count()).select_from(model_versions)
    mine = query.where(model_versions.c.region_key == region_key, ~is_outdated())
    return int(connection.scalar(mine) or 0)
