"""Add, list and remove sources; for administrators, on the command line only."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine

from app.audit import store as audit
from app.core.bounds import MAX_SOURCES
from app.core.cron import check_cron
from app.core.db.locks import count_lock
from app.core.errors import InvalidInput, LimitExceeded, SourceFailed
from app.core.settings import Settings
from app.core.texts import shortened
from app.regions.store import get_region
from app.sync.connectors.address import checked_url
from app.sync.connectors.folder import folder_parts, folder_root
from app.sync.connectors.network import route_to
from app.sync.connectors.sftp import sftp_address
from app.sync.presets import PRESETS, Preset
from app.sync.spec import SourceSpec
from app.sync.store import (
    Source,
    delete_source,
    get_source,
    insert_source,
    list_sources,
    lock_idle_source,
)

MIN_EVERY_S, MAX_EVERY_S = 60, 366 * 86400
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def preset(name: str, **changes: Any) -> SourceSpec:
    """Return a preset's source with the administrator's changes.

    Raises:
        InvalidInput: no such preset.
    """
    return replace(find_preset(name).spec, preset=name, **changes)


def find_preset(name: str) -> Preset:
    """Return the preset with that name.

    Raises:
        InvalidInput: there is none.
    """
    found = PRESETS.get(name)
    if found is None:
        raise InvalidInput(
            f"unknown preset {shortened(name)}; choose one of {', '.join(sorted(PRESETS))}",
            field="preset",
        )
    return found


def _checked_place(spec: SourceSpec, settings: Settings) -> str:
    """Return the host of a source, or the name of its drop folder, after checking where it lies.

    Raises:
        InvalidInput: it is no address of this kind, or not allowed.
    """
    if spec.kind == "folder":
        folder_root(settings)
        return f"folder:{folder_parts(spec.url)[0]}"
    if spec.kind == "sftp":
        address = sftp_address(spec.url)
        host, port = address.host, address.port
    else:
        parsed = checked_url(spec.url, allow_loopback=settings.sync_allow_loopback)
        host, port = parsed.host, parsed.port or 443
    _check_reachable(host, port, settings)
    return host


def _check_reachable(host: str, port: int, settings: Settings) -> None:
    """Raise if a source's host is in a private network that no setting allows; unknown hosts pass.

    Raises:
        InvalidInput: every sync would be refused.
    """
    try:
        route_to(host, port, settings)
    except SourceFailed as refusal:
        if refusal.code == "private_address":
            raise InvalidInput(refusal.message, field="url", code=refusal.code) from refusal


def add_source(
    engine: Engine,
    settings: Settings,
    region_id: str,
    name: str,
    spec: SourceSpec,
    *,
    every_s: int | None = None,
    cron: str | None = None,
) -> Source:
    """Store a new source of a region.

    Args:
        every_s: between two scheduled runs, or `cron`, in the region's local time; neither: only
            on request.

    Raises:
        NotFound: no such region.
        InvalidInput: name, address or specification is invalid.
        Conflict: the region has a source of that name.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("a source's name is 1-63 of a-z, 0-9, '-' and '_'", field="name")
    if every_s is not None and not MIN_EVERY_S <= every_s <= MAX_EVERY_S:
        raise InvalidInput(
            f"every must lie within {MIN_EVERY_S}..{MAX_EVERY_S} s, got {every_s}", field="every"
        )
    if every_s is not None and cron is not None:
        raise InvalidInput("give either every or cron, not both", field="cron")
    tidy = None if cron is None else check_cron(cron)
    spec = replace(spec, feed=spec.feed or name)
    host = _checked_place(spec, settings)
    spec.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        count_lock(connection, region.key)
        n = len(list_sources(connection, region.key))
        if n >= MAX_SOURCES:
            raise LimitExceeded(
                f"the region has {n} sources, the limit is {MAX_SOURCES}; remove one first",
                field="name",
                limit=MAX_SOURCES,
                asked=n + 1,
            )
        audit.record(
            connection,
            "source.added",
            chain=region.id,
            source=name,
            kind=spec.kind,
            host=host,
        )
        return insert_source(connection, region.key, name, spec, every_s=every_s, cron=tidy)


def sources_of(engine: Engine, region_id: str) -> list[Source]:
    """List a region's sources.

    Raises:
        NotFound: no such region.
    """
    with engine.connect() as connection:
        return list_sources(connection, get_region(connection, region_id).key)


def remove_source(engine: Engine, region_id: str, name: str) -> None:
    """Remove a source; its incidents stay.

    Raises:
        NotFound: no such region or source.
        Conflict: it is being read.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        source = get_source(connection, region.key, name)
        lock_idle_source(connection, source, "the source is being read now")
        delete_source(connection, source)
        audit.record(connection, "source.removed", chain=region.id, source=name)
