"""The data of a fit: a region's study area, cells and incidents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from app.core.errors import NotReady
from app.data_quality.checks.default_geocodes import FullPlace, find_full_places
from app.geo.boundaries import study_area_from_geojson
from app.geo.grid import Grid, build_grid
from app.geo.hour_of_week import local_offset_s
from app.geo.study_area import StudyArea, derive_study_area, to_degrees
from app.incidents.column_store import IncidentColumns, ReleaseCut, read_columns
from app.incidents.fingerprints import data_hash
from app.incidents.placing import follow_incidents
from app.incidents.release_cuts import checked_release, found_release, release_cut
from app.incidents.releases import settle_exact
from app.regions.category_store import kind_names
from app.regions.kinds import Kinds
from app.regions.learning_policy import LearningPolicy
from app.regions.store import OutlinedRegion, Region, outlined, set_boundary
from app.registry.new_incidents import incidents_of
from app.releases.groups import pin
from models.incidents import Incidents
from models.times.aoristic import Aoristic
from models.units import HOUR_S


@dataclass(frozen=True)
class TrainingData:
    """Incidents known before the cutoff, sorted by time, without outliers and default geocodes."""

    region: OutlinedRegion
    area: StudyArea
    grid: Grid
    incidents: Incidents
    rows: NDArray[np.int64]
    """(n,) row of the grid that holds each incident."""
    categories: list[str]
    cutoff_s: int
    n_outside: int
    piles: list[FullPlace]
    """Default geocodes inside the study area; incidents at them are excluded."""
    policy: LearningPolicy
    data_hash: str = ""
    """Keyed digest of the data."""
    excluded_categories: list[str] = field(default_factory=list)
    """Categories that are excluded: those that mostly reflect patrols, and those the policy names."""
    kinds_revision: int = 0
    """State of the region's aliases; see `app.regions.kinds`."""
    released: bool = True
    """Whether readers may see versions trained on it."""
    bounds_s: tuple[int, ...] = ()
    """Instants of the releases up to the one that was read."""
    read_counts: dict[str, int] = field(default_factory=dict)
    """Number of incidents of each category that were read, inside the study area or not."""
    aoristic: Aoristic | None = None
    """What shared out the incidents whose times are not exact; None: nothing did."""

    def shared_out(self) -> TrainingData:
        """Return the data with times that are not exact shared out by what all of them say."""
        aoristic = Aoristic().fit(self.incidents.before(self.cutoff_s))
        return replace(self, incidents=aoristic.share(self.incidents), aoristic=aoristic)


def load_training_data(
    engine: Engine,
    region_key: int,
    categories: Sequence[str] | None = None,
    until: datetime | None = None,
    *,
    by_policy: bool = False,
    release: int | None = None,
    pinned: bool = False,
    arrivals: bool = False,
) -> TrainingData:
    """Read a region's incidents and build its grid; derive and store a missing boundary.

    The cutoff is `until` (or now), but no later than the hour after the last incident, because a period
    that was not delivered yet must not look quiet.

    Args:
        engine: the database.
        region_key: the region.
        categories: names of kinds, aliases or groups; None: all.
        until: read only earlier incidents.
        by_policy: apply the region's learning policy, as trainings do; otherwise read all reported
            incidents, so that models are compared on all of them.
        release: read the incidents of this release, up to its instant.
        pinned: keep the part of the release between two instants unchanged by later releases.
        arrivals: also read when each incident was stored.

    Raises:
        NotReady: the region has no incidents, or only ones that its policy excludes, or the release was
            corrected.
        InvalidInput: no boundary can be derived, or a category is unknown.
    """
    with engine.begin() as connection:
        region = outlined(connection, follow_incidents(connection, region_key))
        policy = LearningPolicy.of(region.settings)
        excluded: list[str] = []
        kinds = Kinds.of(region.settings)
        chosen = None if categories is None else kinds.expanded(categories)
        if by_policy and categories is None:
            chosen, excluded = _training_categories(connection, region, policy)
        cut, moment = _cut(connection, region, release, pinned=pinned)
        if cut is not None and categories is not None:
            cut = replace(cut, named_only=True)
        until_s = int((moment or until or datetime.now(UTC)).timestamp())
        columns = read_columns(
            connection,
            region,
            until=datetime.fromtimestamp(until_s, UTC),
            category_names=chosen,
            discovered_share=policy.discovered_weight if by_policy else 0.0,
            cut=cut,
            arrivals=arrivals,
        )
        if len(columns.time_s) == 0:
            raise NotReady("the region has no incidents yet", code="no_incidents")
        area = _study_area(connection, region, columns.x_m, columns.y_m)
        digest = data_hash(connection, columns)
        released = cut is not None or (
            by_policy and categories is None and settle_exact(connection, region, until)
        )
    end_s = (int(columns.time_s[-1]) // HOUR_S + 1) * HOUR_S
    cutoff_s = until_s if cut is not None else min(until_s, end_s)
    found = _inside(region, area, columns, cutoff_s, policy)
    return replace(
        found,
        data_hash=digest,
        excluded_categories=excluded,
        kinds_revision=kinds.revision,
        released=released,
        bounds_s=() if cut is None else cut.bounds_s(),
    )


def _cut(
    connection: Connection, region: Region, release: int | None, *, pinned: bool
) -> tuple[ReleaseCut | None, datetime | None]:
    """Return the cut of a release, and its instant."""
    if release is None:
        return None, None
    if not pinned:
        found = checked_release(connection, region, release)
        return release_cut(connection, region, found), found.until
    found = found_release(connection, region, release)
    cut = release_cut(connection, region, found)
    pin(connection, region.key, found)
    return replace(cut, pinned=True), found.until


def _inside(
    region: OutlinedRegion,
    area: StudyArea,
    columns: IncidentColumns,
    cutoff_s: int,
    policy: LearningPolicy,
) -> TrainingData:
    """Select the incidents that lie in a cell and not at a default geocode."""
    grid = build_grid(area, region.cell_size_m)
    rows = grid.locate(columns.x_m, columns.y_m)
    inside = rows >= 0
    minute = (columns.time_s + local_offset_s(columns.time_s, region.timezone)) // 60 % 1440
    places, piled = find_full_places(
        columns.x_m[inside],
        columns.y_m[inside],
        minute[inside].astype(np.int16),
        columns.category[inside],
        *policy.places_m(area.crs),
    )
    # What an interval that is not over yet says of its hours is not known at the cutoff.
    used = inside & (columns.end_s <= cutoff_s)
    used[inside] &= ~piled
    incidents = incidents_of(columns, region.timezone).take(used)
    return TrainingData(
        region=region,
        area=area,
        grid=grid,
        incidents=incidents,
        rows=rows[used],
        categories=list(columns.category_names),
        cutoff_s=cutoff_s,
        n_outside=int((~inside).sum()),
        piles=[place for place in places if place.is_default],
        policy=policy,
        read_counts=dict(zip(columns.category_names, _counts(columns).tolist(), strict=True)),
    )


def _counts(columns: IncidentColumns) -> NDArray[np.int64]:
    return np.bincount(columns.category, minlength=len(columns.category_names)).astype(np.int64)


def _training_categories(
    connection: Connection, region: Region, policy: LearningPolicy
) -> tuple[list[str] | None, list[str]]:
    """Return the categories to train on (None: all), and those excluded.

    Raises:
        NotReady: no category is left.
    """
    known = kind_names(connection, region)
    excluded = policy.excluded(known)
    if not excluded:
        return None, []
    left = sorted(set(known) - set(excluded))
    if not left:
        raise NotReady(
            "all categories mostly reflect patrol activity, or the policy excludes them; select "
            "categories, set patrol_categories to include, or name them in include_categories",
            code="only_patrol_categories",
        )
    return left, excluded


def _study_area(
    connection: Connection,
    region: OutlinedRegion,
    x_m: NDArray[np.float32],
    y_m: NDArray[np.float32],
) -> StudyArea:
    if region.crs is None:
        raise NotReady("the region has neither boundary nor incidents", code="no_incidents")
    if region.boundary is not None:
        return study_area_from_geojson(region.boundary, region.crs)
    longitude, latitude = to_degrees(x_m.astype(np.float64), y_m.astype(np.float64), region.crs)
    derived = derive_study_area(longitude, latitude, region.crs).to_geojson()
    set_boundary(connection, region.key, derived, derived=True)
    # Read it like later trainings: conversion to degrees and back changes last bits and the grid's hash.
    return study_area_from_geojson(derived, region.crs)
