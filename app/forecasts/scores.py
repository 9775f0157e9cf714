"""Scoring of given incidents by a forecast: anomalies, or quality of past forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.core.errors import InvalidInput, LimitExceeded, NotFound
from app.core.texts import shortened
from app.core.zones import localised
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.warnings import WARNINGS, standing_warnings
from app.geo.hour_of_week import touched_hours, windows_of
from app.geo.study_area import to_metres
from app.registry.store import ALL_CATEGORIES
from models.incidents import Incidents
from models.times.intervals import Intervals
from models.units import DAY_S, HOUR_S, FloatArray, IntArray

MAX_SCORED = 100_000
MAX_INTERVAL_DAYS = 31
MAX_SCORED_HOURS = 1_000_000
MAX_TIME_S = 2**34
"""The year 2514; time zone arithmetic fails beyond the end of the calendar."""


@dataclass(frozen=True)
class PlacedIncident:
    """An incident to score; naive times are local to the region.

    Args:
        start: when it occurred, or the start of the interval in which it did.
        longitude, latitude: its place, degrees.
        category: its kind; None: any.
        end: exclusive end of the interval.
    """

    start: datetime
    longitude: float
    latitude: float
    category: str | None = None
    end: datetime | None = None


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
    start_s, _ = _times(incidents, version)
    seen = int((start_s < record.cutoff.timestamp()).sum())
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
    outside the study area have density null and percentile 0. Of an interval, the density is the mean
    over its hours by the forecast's hourly rates, and so is the percentile.

    Raises:
        InvalidInput: a time is out of range, or an interval too long.
    """
    longitude = np.array([i.longitude for i in incidents])
    latitude = np.array([i.latitude for i in incidents])
    x_m, y_m = to_metres(longitude, latitude, version.grid.crs)
    rows = version.grid.locate(x_m, y_m)
    codes = _codes(service, version, incidents)
    known = _as_incidents(incidents, version, x_m, y_m)
    hours = known.shared_by(np.array([version.record.counts["profile"]])).by_hour()
    scored = _scored(service, version, rows[hours.incident], hours.window, codes[hours.incident])
    log_density, percentile = hours.log_mean_exp(scored[0]), hours.mean(scored[1])
    inside = rows >= 0
    is_exact = np.bincount(hours.incident, minlength=len(rows)) == 1
    columns = zip(
        _or_none(log_density, inside),
        percentile.tolist(),
        _or_none(version.grid.cell_id[rows], inside),
        _or_none(known.window, is_exact),
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


def _times(
    incidents: Sequence[PlacedIncident], version: LoadedVersion
) -> tuple[IntArray, IntArray]:
    """Return starts and ends (n,), UTC seconds since 1970, equal where a time is exact."""
    timezone = version.region.timezone
    try:
        start_s, end_s = np.array(
            [
                [
                    int(localised(moment, timezone).timestamp())
                    for moment in (i.start, i.end or i.start)
                ]
                for i in incidents
            ],
            np.int64,
        ).T
    except (OverflowError, ValueError) as error:
        raise InvalidInput("occurred_at is out of range", field="incidents") from error
    if max(np.abs(start_s).max(), np.abs(end_s).max()) > MAX_TIME_S:
        raise InvalidInput("occurred_at is out of range", field="incidents")
    return start_s, end_s


def _as_incidents(
    incidents: Sequence[PlacedIncident],
    version: LoadedVersion,
    x_m: FloatArray,
    y_m: FloatArray,
) -> Incidents:
    """Return incidents in the order given, so not by time.

    Raises:
        InvalidInput: an interval is wrong, or all together touch too many hours.
    """
    start_s, end_s = _times(incidents, version)
    longest_s = MAX_INTERVAL_DAYS * DAY_S + HOUR_S  # a clock may be put back within it
    for wrong, problem in (
        (end_s < start_s, "occurred_to lies before occurred_from"),
        (end_s - start_s > longest_s, f"an interval is longer than {MAX_INTERVAL_DAYS} days"),
    ):
        if wrong.any():
            place = int(wrong.argmax())
            raise InvalidInput(f"{problem} (incident {place})", field=f"incidents.{place}")
    n_hours = int((np.ceil((end_s - start_s) / HOUR_S) + 1).sum())
    if n_hours > MAX_SCORED_HOURS:
        raise LimitExceeded(
            f"the incidents may touch {n_hours} hours, the limit is {MAX_SCORED_HOURS}; send fewer",
            field="incidents",
            limit=MAX_SCORED_HOURS,
            asked=n_hours,
        )
    timezone = version.region.timezone
    touched, window, overlap = touched_hours(start_s, end_s, timezone)
    intervals = None
    if touched.any():
        intervals = Intervals.evenly(start_s, end_s, touched, window, overlap)
    return Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        start_s,
        windows_of(start_s, timezone),
        np.zeros(len(start_s), np.int32),
        intervals=intervals,
    )


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
