"""Correct a region, and make anew what depends on the correction.

Windows and projected coordinates of stored incidents are recomputed in the same transaction. Versions
of the former area, CRS or time zone serve no longer: their cells or hours are not the region's, and a
forecast for the wrong place or hour is worse than none. A training of the region as it is now is queued.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pyproj import CRS
from pyproj.exceptions import CRSError
from sqlalchemy import Connection, Engine, null, update

from app.audit import store as audit
from app.core.db.locks import INGEST_LOCK, TRAIN_LOCK, transaction_lock
from app.core.db.tables import regions
from app.core.errors import InvalidInput
from app.core.messages import Message, MessageTable
from app.core.texts import shortened
from app.core.zones import zone
from app.erasure.service import retrain
from app.geo.boundaries import check_not_swapped, study_area_from_geojson
from app.geo.grid import build_grid, check_cell_size
from app.geo.study_area import choose_crs
from app.incidents.placing import count_windows_again, project_again
from app.incidents.writes import middle_of, some_places
from app.readers.files.documents import MAX_NAME_CHARS, Outline
from app.readers.limits import KNOWN_CRS
from app.regions.outdated import outdate_versions
from app.regions.places import boundary_shape_of, place_warnings
from app.regions.shifts import DEFAULT_SHIFTS, SETTINGS_PATH, Shift, ShiftName, shifts_of
from app.regions.store import OutlinedRegion, get_region, outlined, put_setting
from app.registry import store as registry
from app.registry.champions import get_champion
from app.training.service import TrainingRequest

MEANT_ANEW = ("timezone", "boundary", "crs")
OUTSIDE_SHARE = 0.5
EDIT_WARNINGS = MessageTable(
    {
        "instants_unchanged": "the instants of stored incidents are unchanged; if their files gave local "
        "times without an offset, these were read in {timezone}: erase those uploads and send them again",
        "incidents_outside_boundary": "about {share:.0%} of the incidents lie outside the new boundary",
    }
)


@dataclass(frozen=True)
class RegionEdit:
    """A correction: None leaves a value as it is.

    Args:
        outline: of a new boundary.
        clear: `boundary` or `crs`, to be derived or chosen again; `shifts`, to be the defaults.
        shifts: those that change.
    """

    name: str | None = None
    timezone: str | None = None
    cell_size_m: float | None = None
    crs: str | None = None
    outline: Outline | None = None
    clear: frozenset[str] = frozenset()
    shifts: Mapping[ShiftName, Shift] = field(default_factory=dict)


@dataclass(frozen=True)
class EditedRegion:
    """The result of a correction."""

    region: OutlinedRegion
    changed: list[str]
    versions_outdated: list[str] = field(default_factory=list)
    training_run: UUID | None = None
    warnings: list[Message] = field(default_factory=list)


def edit_region(engine: Engine, region_id: str, edit: RegionEdit) -> EditedRegion:
    """Correct a region.

    Raises:
        NotFound: no such region.
        InvalidInput: a value is wrong, or the boundary lies near the time zone only with exchanged axes.
        LimitExceeded: more cells than hotslot serves.
    """
    with engine.begin() as connection:
        key = get_region(connection, region_id).key
        # No upload, erasure or registration sees half a correction.
        transaction_lock(connection, INGEST_LOCK, key)
        transaction_lock(connection, TRAIN_LOCK, key)
        before = outlined(connection, get_region(connection, region_id))
        values = _checked(connection, before, edit)
        changed = [name for name in _NAMES if name in values and _differs(before, name, values)]
        changed += _changed_shifts(connection, before, edit)
        if changed in ([], ["shifts"]) and "crs_given" not in values:
            if changed:
                audit.record(connection, "region.changed", chain=before.id, changed=changed)
            return EditedRegion(outlined(connection, get_region(connection, region_id)), changed)
        return _applied(connection, before, values, changed)


def _changed_shifts(connection: Connection, before: OutlinedRegion, edit: RegionEdit) -> list[str]:
    """Store shifts; return whether they differ as the list of what changed."""
    known = shifts_of(before.settings)
    wanted = {**(DEFAULT_SHIFTS if "shifts" in edit.clear else known), **edit.shifts}
    if wanted == known:
        return []
    stored = {str(name): shift.to_json() for name, shift in wanted.items()}
    put_setting(connection, before.key, SETTINGS_PATH, stored)
    return ["shifts"]


_NAMES = ("name", "timezone", "boundary", "cell_size_m", "crs")


def _differs(before: OutlinedRegion, name: str, values: dict[str, Any]) -> bool:
    if name == "boundary" and before.boundary_derived:
        # Replacing a derived boundary by none only asks to derive it again.
        return values["boundary"] is not None
    return bool(getattr(before, name) != values[name])


def _checked(connection: Connection, before: OutlinedRegion, edit: RegionEdit) -> dict[str, Any]:
    """Return the new values of columns, checked together."""
    values: dict[str, Any] = {}
    if edit.name is not None:
        if not edit.name.strip() or len(edit.name) > MAX_NAME_CHARS or "\x00" in edit.name:
            raise InvalidInput(f"name must have 1 to {MAX_NAME_CHARS} characters", field="name")
        values["name"] = edit.name
    if edit.timezone is not None:
        zone(edit.timezone)
        values["timezone"] = edit.timezone
    if edit.cell_size_m is not None:
        check_cell_size(edit.cell_size_m)
        values["cell_size_m"] = edit.cell_size_m
    if edit.outline is not None:
        values |= {"boundary": edit.outline.boundary, "boundary_derived": False}
        if edit.outline.neighbourhoods is not None:
            values["neighbourhoods"] = edit.outline.neighbourhoods
    elif "boundary" in edit.clear:
        values |= {"boundary": None, "boundary_derived": False}
    given = values.get("boundary", None if before.boundary_derived else before.boundary)
    if given is not None and values.keys() & {"boundary", "timezone"}:
        timezone = values.get("timezone", before.timezone)
        check_not_swapped(boundary_shape_of(given), timezone)
    return values | _crs_values(connection, before, edit, given)


def _crs_values(
    connection: Connection,
    before: OutlinedRegion,
    edit: RegionEdit,
    boundary: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the CRS if it changes, after checking that the study area can be divided in it."""
    values: dict[str, Any] = {}
    crs = before.crs
    if edit.crs is not None:
        values["crs_given"] = True
        crs = _projected(edit.crs)
    elif "crs" in edit.clear:
        values["crs_given"] = False
    follows = not values.get("crs_given", before.crs_given)
    if follows and ("crs" in edit.clear or edit.outline is not None or "boundary" in edit.clear):
        middle = middle_of(connection, before.key)
        crs = None if middle is None else choose_crs(*middle)
        if boundary is not None:
            crs = study_area_from_geojson(boundary).crs
    if boundary is not None:
        area = study_area_from_geojson(boundary, crs)
        build_grid(area, edit.cell_size_m or before.cell_size_m)
    return {**values, "crs": crs}


def _projected(crs: str) -> str:
    """Return a CRS in which squares can be counted in metres.

    Raises:
        InvalidInput: it is unknown, or not projected in metres.
    """
    try:
        found = CRS.from_user_input(crs) if KNOWN_CRS.fullmatch(crs) else None
    except CRSError:
        found = None
    if found is None or not found.is_projected or found.axis_info[0].unit_name != "metre":
        raise InvalidInput(
            f"crs must be a projected CRS in metres such as EPSG:32617, got {shortened(crs)}",
            field="crs",
        )
    return crs


def _applied(
    connection: Connection, before: OutlinedRegion, values: dict[str, Any], changed: list[str]
) -> EditedRegion:
    request, champion = _champions_request(connection, before.key)
    anew = [name for name in MEANT_ANEW if name in changed]
    if "crs" in changed and before.boundary_derived and "boundary" not in values:
        values |= {"boundary": None, "boundary_derived": False}
    stored = {**values, "boundary": values.get("boundary") or null()}
    if "boundary" not in values:
        del stored["boundary"]
    if anew:
        stored["revision"] = before.revision + 1
    connection.execute(update(regions).where(regions.c.key == before.key).values(**stored))
    if "crs" in changed and values["crs"] is not None:
        project_again(connection, before.key, values["crs"])
    if "timezone" in changed:
        count_windows_again(connection, before.key, values["timezone"])
    outdated = outdate_versions(connection, before.key, " and ".join(anew)) if anew else []
    now = outlined(connection, get_region(connection, before.id))
    audit.record(connection, "region.changed", chain=before.id, changed=changed)
    has_incidents = middle_of(connection, before.key) is not None
    run_id = None
    if has_incidents and (outdated or (champion and "cell_size_m" in changed)):
        run_id = retrain(connection, before.key, request)
    warnings = _warnings(connection, before, now, changed) if has_incidents else []
    if anew:
        warnings += place_warnings(now.boundary, now.timezone)
    return EditedRegion(now, changed, outdated, run_id, warnings)


def _champions_request(connection: Connection, region_key: int) -> tuple[TrainingRequest, bool]:
    """Return the request that repeats the champion's training, and whether there is a champion."""
    champion = get_champion(connection, region_key)
    if champion is None:
        return TrainingRequest(), False
    version = registry.sound_version(connection, region_key, champion.version)
    if version is None or not version.settings:
        return TrainingRequest(), True
    return TrainingRequest.from_json(version.settings), True


def _warnings(
    connection: Connection, before: OutlinedRegion, now: OutlinedRegion, changed: list[str]
) -> list[Message]:
    found = []
    if "timezone" in changed:
        found.append(EDIT_WARNINGS.make("instants_unchanged", timezone=before.timezone))
    if "boundary" in changed and now.boundary is not None:
        area = study_area_from_geojson(now.boundary, now.crs)
        places = some_places(connection, before.key)
        share = 1.0 - float(area.contains(places[:, 0], places[:, 1]).mean())
        if share > OUTSIDE_SHARE:
            found.append(EDIT_WARNINGS.make("incidents_outside_boundary", share=share))
    return found
