"""Which versions readers see: those whose data differ from all others by enough incidents.

Callers who may list incidents see all versions. Others are served the last released version if the
champion is withheld from them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, cast, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from app.core.db.tables import (
    champions,
    erased_versions,
    model_versions,
    promotions,
    withheld_versions,
)
from app.core.roles import sees_unreleased
from app.regions.outdated import has_row_in, is_outdated
from app.releases.store import MIN_GROUP


def visible() -> list[ColumnElement[bool]]:
    """Return conditions on `model_versions` for what the current caller may see."""
    return [] if sees_unreleased.get() else [~has_row_in(withheld_versions)]


def usable() -> list[ColumnElement[bool]]:
    """Return conditions for versions that may serve: visible, and of the region as it is now."""
    return [*visible(), ~is_outdated()]


def is_of_all_categories() -> ColumnElement[bool]:
    """Return the condition on `model_versions` that a version was not limited to some categories."""
    chosen = func.jsonb_typeof(model_versions.c.settings["categories"])
    return chosen.is_distinct_from("array")


def is_withheld(connection: Connection, region_key: int, version: str) -> bool:
    """Return whether a version is withheld from readers."""
    query = select(withheld_versions.c.version).where(
        withheld_versions.c.region_key == region_key, withheld_versions.c.version == version
    )
    return connection.execute(query).first() is not None


def withheld_of(connection: Connection, region_key: int) -> set[str]:
    """Return the versions of a region that are withheld from readers."""
    query = select(withheld_versions.c.version).where(withheld_versions.c.region_key == region_key)
    return set(connection.scalars(query))


def is_registered(connection: Connection, region_key: int, version: str) -> bool:
    """Return whether there is such a version."""
    query = select(model_versions.c.version).where(
        model_versions.c.region_key == region_key, model_versions.c.version == version
    )
    return connection.execute(query).first() is not None


def is_too_near(
    connection: Connection, region_key: int, version: str, n_incidents: int, chosen: Any
) -> bool:
    """Return whether readers see a version of the same categories with slightly different data.

    Releases grow by many incidents, but a model may learn from few of them: others lie outside the study
    area, were discovered by patrols, or are of excluded categories.
    """
    few = func.abs(model_versions.c.n_incidents - n_incidents).between(1, MIN_GROUP - 1)
    marked = select(erased_versions.c.version).where(erased_versions.c.region_key == region_key)
    query = select(model_versions.c.version).where(
        model_versions.c.region_key == region_key,
        model_versions.c.version != version,
        model_versions.c.settings["categories"] == cast(chosen, JSONB),
        model_versions.c.version.not_in(marked),
        few,
        ~has_row_in(withheld_versions),
    )
    return connection.execute(query.limit(1)).first() is not None


def withhold(connection: Connection, region_key: int, version: str) -> None:
    """Hide a version from readers."""
    values = {"region_key": region_key, "version": version}
    connection.execute(insert(withheld_versions).values(values).on_conflict_do_nothing())


def release(connection: Connection, region_key: int, version: str) -> None:
    """Show a version to readers."""
    connection.execute(
        delete(withheld_versions).where(
            withheld_versions.c.region_key == region_key, withheld_versions.c.version == version
        )
    )


def served(connection: Connection, region_key: int) -> str | None:
    """Return the version that the caller is served: the champion, or the last one they may see."""
    champion: str | None = connection.scalar(
        select(champions.c.version).where(champions.c.region_key == region_key)
    )
    if champion is None or sees_unreleased.get():
        return champion
    if not is_withheld(connection, region_key, champion):
        return champion
    shown = select(model_versions.c.version).where(
        model_versions.c.region_key == region_key, ~has_row_in(withheld_versions), ~is_outdated()
    )
    held = promotions.c.version == model_versions.c.version
    before = shown.join(promotions, held & (promotions.c.region_key == region_key)).order_by(
        promotions.c.id.desc()
    )
    newest = shown.where(is_of_all_categories()).order_by(
        model_versions.c.created_at.desc(), model_versions.c.version
    )
    found = (connection.scalar(query.limit(1)) for query in (before, newest))
    return next((str(version) for version in found if version is not None), None)


def served_of_all(connection: Connection) -> dict[int, str | None]:
    """Return {region key: `served`} of the regions with a champion, by one query where none is withheld."""
    held = withheld_versions.c
    mine = (held.region_key == champions.c.region_key) & (held.version == champions.c.version)
    query = select(champions.c.region_key, champions.c.version, held.version.label("withheld"))
    rows = connection.execute(query.outerjoin_from(champions, withheld_versions, mine)).all()
    return {
        row.region_key: served(connection, row.region_key) if row.withheld else row.version
        for row in rows
    }
