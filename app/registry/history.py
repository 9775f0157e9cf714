"""Versions by the data they knew at a time, and incidents that arrived since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from app.core.db.tables import champions, incidents, model_versions, promotions, regions
from app.core.errors import NotFound, NotReady
from app.core.texts import shortened
from app.regions.category_store import kinds_of
from app.regions.kinds import folded
from app.regions.outdated import is_outdated
from app.regions.store import get_region_by_key
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt
from app.registry.visibility import is_of_all_categories, served, usable

MAX_LOOKED_AT = 5
"""How many versions are tried until one is intact."""


def version_as_of(
    connection: Connection, region_key: int, as_of: datetime, model: str | None = None
) -> registry.VersionRecord:
    """Return the newest version whose data ended at `as_of` or before.

    Args:
        model: a model's name; without one, the champion's.

    Raises:
        NotReady: no model is named and the region has no champion.
        NotFound: every version of that model knew later incidents.
    """
    if model is None:
        model = _model_served(connection, region_key)
    names = connection.scalars(
        select(model_versions.c.version)
        .where(
            model_versions.c.region_key == region_key,
            (model_versions.c.model == model) | (model_versions.c.version == model),
            model_versions.c.cutoff <= as_of,
            *usable(),
        )
        .order_by(model_versions.c.cutoff.desc(), model_versions.c.created_at.desc())
        .limit(MAX_LOOKED_AT)
    )
    version = _first_sound(connection, region_key, names.all())
    if version is None:
        raise NotFound(
            f"no version of {shortened(model)} knew only what came before {as_of.isoformat()}; "
            "train one with `until`",
            field="as_of",
            code="no_version_as_of",
        )
    return version


def _model_served(connection: Connection, region_key: int) -> str:
    """Return the champion's model, or the previous champion's if its record was altered."""
    try:
        return registry.get_version(connection, region_key).model
    except ArtifactCorrupt:
        earlier = earlier_champions(connection, region_key, served(connection, region_key) or "")
        if not earlier:
            raise
        return earlier[0].model


def _first_sound(
    connection: Connection, region_key: int, names: Sequence[str]
) -> registry.VersionRecord | None:
    """Return the first of these versions whose record is intact."""
    found = (registry.sound_version(connection, region_key, name) for name in names)
    return next((version for version in found if version is not None), None)


def older_version(
    connection: Connection, region_key: int, before: datetime, model: str
) -> registry.VersionRecord | None:
    """Return a model's newest version whose data ended at `before` or earlier, or None."""
    try:
        return version_as_of(connection, region_key, before, model)
    except (NotFound, NotReady):
        return None


def earlier_champions(
    connection: Connection, region_key: int, champion: str, limit: int = MAX_LOOKED_AT
) -> list[registry.VersionRecord]:
    """Return intact versions that were champion before, the last one first."""
    before = (
        select(promotions.c.version, func.max(promotions.c.id).label("newest"))
        .where(promotions.c.region_key == region_key, promotions.c.version != champion)
        .group_by(promotions.c.version)
        .subquery()
    )
    names = (
        select(model_versions.c.version)
        .join(before, model_versions.c.version == before.c.version)
        .where(model_versions.c.region_key == region_key, *usable())
        .order_by(before.c.newest.desc())
        .limit(limit)
    )
    found = [registry.sound_version(connection, region_key, v) for v in connection.scalars(names)]
    return [version for version in found if version is not None]


def current_champions(
    connection: Connection, region_ids: Sequence[str], n_newest: int
) -> dict[str, str]:
    """Return {region id: champion's version} of these regions and of the newest of any."""
    newest = select(champions.c.region_key).order_by(champions.c.promoted_at.desc()).limit(n_newest)
    rows = connection.execute(
        select(regions.c.id, champions.c.version)
        .join(champions, champions.c.region_key == regions.c.key)
        .where(regions.c.id.in_(region_ids) | regions.c.key.in_(newest))
    )
    return {str(row.id): str(row.version) for row in rows}


def newest_version(connection: Connection, region_key: int) -> registry.VersionRecord | None:
    """Return the version of all categories whose data end last, whatever its model."""
    names = connection.scalars(
        select(model_versions.c.version)
        .where(
            model_versions.c.region_key == region_key,
            is_of_all_categories(),
            ~is_outdated(),
        )
        .order_by(model_versions.c.cutoff.desc(), model_versions.c.created_at.desc())
        .limit(MAX_LOOKED_AT)
    )
    return _first_sound(connection, region_key, names.all())


def arrived_since(
    connection: Connection, region_key: int, since: datetime, without: Sequence[str] = ()
) -> tuple[int, datetime | None]:
    """Return how many reported incidents happened since an instant, and when the last one did.

    Args:
        without: kinds to exclude.
    """
    left_out = []
    if without:
        names = {folded(name) for name in without}
        keys = kinds_of(connection, get_region_by_key(connection, region_key))
        left_out = [key for key, kind in keys.items() if folded(kind.now) in names]
    row = connection.execute(
        select(func.count(), func.max(incidents.c.occurred_at)).where(
            incidents.c.region_key == region_key,
            incidents.c.occurred_at >= since,
            incidents.c.source == "reported",
            incidents.c.category_key.not_in(left_out),
        )
    ).one()
    return int(row[0]), row[1]


def last_incident_at(connection: Connection, region_key: int) -> datetime | None:
    """Return when the region's last known incident happened."""
    found: datetime | None = connection.scalar(
        select(func.max(incidents.c.occurred_at)).where(incidents.c.region_key == region_key)
    )
    return found
