"""Scoring of given incidents by a forecast: anomalies, or quality of past forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidInput, NotFound
from app.core.texts import shortened
from app.core.zones import localised
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.warnings import WARNINGS, standing_warnings
from app.geo.hour_of_week import windows_of
from app.geo.study_area import to_metres
from app.registry.store import ALL_CATEGORIES
from models.base import FloatArray, IntArray

MAX_SCORED = 100_000
MAX_TIME_S = 2**34
"""The year 2514; time zone arithmetic fails beyond the end of the calendar."""


@dataclass(frozen=True)
class PlacedIncident:
    """An incident to score; naive times are local to the region."""

    occurred_at: datetime
    longitude: float
    latitude: float
    category: str | None = None


def score_heading(version: LoadedVersion, incidents: Sequence[PlacedIncident]) -> dict[str, Any]:
    """Return the heading of a reply with scores.

    Raises:
        InvalidInput: a time is out of range.
    """
    record = version.record
    warnings = [
        *version.reasons,
        *standing_warnings(record, version.region, version.shown_categories),
    ]
    seen = int((_seconds(incidents, version) < record.cutoff.timestamp()).sum())
    if seen:
        warnings.append(WARNINGS.make("in_sample_incidents", n=seen, n_scored=len(incidents)))
    return {
        "region": version.region.id,
        "model": record.model,
        "model_version": record.version,
        "trained_until": record.cutoff.isoformat(),
        "state": version.state_id,
        "data_until": version.data_until.isoformat(),
        "generated_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "warnings": [warning.to_json() for warning in warnings],
    }


def score_incidents(
    service: ForecastService, version: LoadedVersion, incidents: Sequence[PlacedIncident]
) -> list[dict[str, Any]]:
    """Return for each incident its log density per km2, percentile and cell.

    The percentile is the probability, under the slot's forecast, of a place that is no denser. Places
    outside the study area have density null and percentile 0.

    Raises:
        InvalidInput: a time is out of range.
    """
    window = windows_of(_seconds(incidents, version), version.region.timezone).astype(np.int64)
    longitude = np.array([i.longitude for i in incidents])
    latitude = np.array([i.latitude for i in incidents])
    rows = version.grid.locate(*to_metres(longitude, latitude, version.grid.crs))
    codes = _codes(service, version, incidents)
    log_density, percentile = _scored(service, version, rows, window, codes)
    inside = rows >= 0
    columns = zip(
        _or_none(log_density, inside),
        percentile.tolist(),
        _or_none(version.grid.cell_id[rows], inside),
        window.tolist(),
        inside.tolist(),
        strict=True,
    )
    names = ("log_density_per_km2", "percentile", "cell", "window", "inside_study_area")
    return [dict(zip(names, values, strict=True)) for values in columns]


def _codes(
    service: ForecastService, version: LoadedVersion, incidents: Sequence[PlacedIncident]
) -> NDArray[np.int64]:
    """Return each incident's kind (n,) as a code of the version; all incidents' where it has none."""
    found: dict[str | None, int] = {None: ALL_CATEGORIES}
    known = service.kinds.codes(version)
    for name in {i.category for i in incidents if i.category is not None}:
        if name in known:
            found[name] = known[name]
            continue
        try:
            codes = service.plan_of(version, Selector(category=name), 0, 1).codes or ()
        except NotFound:
            codes = ()
        if len(codes) > 1:
            raise InvalidInput(
                f"{shortened(name)} stands for several categories; score each incident by its own",
                field="incidents",
            )
        found[name] = codes[0] if codes else ALL_CATEGORIES
    return np.array([found[i.category] for i in incidents], np.int64)


def _or_none(values: NDArray[Any], known: NDArray[np.bool_]) -> list[Any]:
    """Return values as a list, with None where they are unknown."""
    found = values.astype(object)
    found[~known] = None
    return list(found)


def _seconds(incidents: Sequence[PlacedIncident], version: LoadedVersion) -> NDArray[np.int64]:
    """Return UTC seconds since 1970 (n,)."""
    timezone = version.region.timezone
    try:
        seconds = [int(localised(i.occurred_at, timezone).timestamp()) for i in incidents]
        time_s = np.array(seconds, np.int64)
    except (OverflowError, ValueError) as error:
        raise InvalidInput("occurred_at is out of range", field="incidents") from error
    if np.any(np.abs(time_s) > MAX_TIME_S):
        raise InvalidInput("occurred_at is out of range", field="incidents")
    return time_s


def _scored(
    service: ForecastService,
    version: LoadedVersion,
    rows: IntArray,
    window: IntArray,
    codes: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """Return log densities and percentiles (n,); zero where `rows` is -1."""
    log_density, percentile = np.zeros(len(rows)), np.zeros(len(rows))
    inside = rows >= 0
    for code in np.unique(codes[inside]).tolist():
        chosen = inside & (codes == code)
        tables = service.tables.tables(version, code, np.unique(window[chosen]).tolist())
        for one, probability in tables.items():
            mine = np.flatnonzero(chosen & (window == one))
            density = probability / version.grid.area_km2
            order = np.argsort(density, kind="stable")
            mass = np.cumsum(probability[order])
            own = density[rows[mine]]
            upto = np.searchsorted(density[order], own, side="right")
            log_density[mine] = np.log(own)
            percentile[mine] = 100 * np.minimum(mass[upto - 1], 1.0)
    return log_density, percentile
