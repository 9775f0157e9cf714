"""What happened at a place before the data of a forecast end: by month, nearby lately, and of which kind.

Callers who may list incidents get counts. Readers get no counts; they get the kind of a place as far as it
stands on released incidents (`app.releases`), of all categories, with enough of them around the place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from app.core.messages import Message
from app.core.zones import zone
from app.forecasts.explain.words import EXPLANATIONS, near_message
from app.forecasts.forecast import Forecast
from app.forecasts.outcomes import kinds_forecast
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from app.forecasts.zones.adjacency import neighbours_of
from app.geo.grid import Grid
from app.geo.hour_of_week import local_offset_s
from app.incidents.column_store import read_columns
from app.incidents.release_cuts import reader_cut
from app.incidents.releases import minimum_of
from app.regions.store import Region, get_region
from app.registry.new_incidents import at_default_geocodes
from app.releases import store as releases
from models.evaluation.place_kinds import PlaceCounts, Verdict, judged
from models.units import DAY_S, IntArray

N_MONTHS = 24
NEAR_M, NEAR_DAYS = 200, 21
RECENT_DAYS, BEFORE_DAYS = 91, 365
ROW_BYTES = 24


@dataclass(frozen=True)
class Past:
    """Incidents (n,) that a forecast learns from, of the last two years of its data, in its cells.

    Args:
        rows: of the version's grid.
        end: of the data.
        minimum: fewest that readers may be shown anything of.
    """

    rows: IntArray
    time_s: IntArray
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    end: datetime
    minimum: int

    @property
    def end_s(self) -> int:
        """The end of the data, UTC seconds."""
        return int(self.end.timestamp())

    def since(self, days: int) -> NDArray[np.bool_]:
        """Return which incidents (n,) are of the last days."""
        return self.time_s >= self.end_s - days * DAY_S


def past_of(service: ForecastService, forecast: Forecast, *, exact: bool) -> Past | None:
    """Read or recall the past; None: readers are shown none of it.

    Args:
        exact: whether the caller may list incidents.
    """
    version = forecast.version
    whose = "all" if exact else "released"
    place = version.record.version, version.state_id, forecast.plan.codes
    key = service.past_key(version.region.id, *place, whose)

    def read() -> tuple[Past | None]:
        with service.engine.begin() as connection:
            return (_read(connection, forecast, exact=exact),)

    def size(found: tuple[Past | None]) -> int:
        return 100 + (0 if found[0] is None else ROW_BYTES * len(found[0].rows))

    found: Past | None = service.cache.get_or_make(key, tuple, read, size)[0]
    return found


def _read(connection: Connection, forecast: Forecast, *, exact: bool) -> Past | None:
    version = forecast.version
    region = get_region(connection, version.region.id)
    end, cut = version.data_until, None
    if not exact:
        release = _release_of(connection, region, version)
        if release is None:
            return None
        end = release.until
        cut = reader_cut(connection, region, release, _first_month(end, region.timezone))
    wanted = kinds_forecast(connection, region, forecast) if exact else None
    since = _first_month(end, region.timezone) if cut is None else cut.since
    columns = read_columns(connection, region, since, end, wanted, cut=cut)
    rows = version.grid.locate(columns.x_m, columns.y_m)
    facts = version.record.report.get("data", {})
    held = (rows >= 0) & ~at_default_geocodes(columns, facts)
    return Past(
        rows[held],
        columns.time_s[held],
        columns.x_m[held].astype(np.float64),
        columns.y_m[held].astype(np.float64),
        end,
        minimum_of(region),
    )


def _release_of(
    connection: Connection, region: Region, version: LoadedVersion
) -> releases.Release | None:
    """Return the release that a version in its state stands on, or would stand on."""
    seq = version.record.settings.get("release")
    if version.state is not None:
        seq = version.state.record.release
    held = releases.get(connection, region.key, seq) if seq else None
    return held or releases.first_to(connection, region.key, version.record.cutoff)


def _first_month(end: datetime, timezone: str) -> datetime:
    """Return the start of the first of the months shown, the last of which holds the end of the data."""
    last = (end - timedelta(seconds=1)).astimezone(zone(timezone))
    months = 12 * last.year + last.month - 1 - (N_MONTHS - 1)
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=zone(timezone)).astimezone(UTC)


def counts_of(past: Past, version: LoadedVersion, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return the place's incidents by month, and how many were near it lately; for those who may list."""
    timezone = version.region.timezone
    mine = np.isin(past.rows, rows)
    first = _first_month(past.end, timezone).astimezone(zone(timezone))
    months = np.datetime64(f"{first:%Y-%m}", "M") + np.arange(N_MONTHS)
    local_s = past.time_s[mine] + local_offset_s(past.time_s[mine], timezone)
    of = local_s.astype("datetime64[s]").astype("datetime64[M]")
    by_month = [int((of == month).sum()) for month in months]
    recent = past.since(NEAR_DAYS)
    distance_m = _distance_m(version.grid, rows, past.x_m[recent], past.y_m[recent])
    near = int((distance_m <= NEAR_M).sum())
    local = zone(timezone)
    until = past.end.astimezone(local)
    return {
        "from": first.isoformat(),
        "to": until.isoformat(),
        "n": sum(by_month),
        "months": [
            {"month": str(month), "n": n} for month, n in zip(months, by_month, strict=True)
        ],
        "near": {"n": near, "within_m": NEAR_M, "days": NEAR_DAYS},
        "message": near_message(near, NEAR_M, NEAR_DAYS, f"{until:%Y-%m-%d}").to_json(),
    }


def _distance_m(
    grid: Grid, rows: NDArray[np.int64], x_m: NDArray[np.float64], y_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the distance (n,) of points from the nearest of some squares; inside it is zero."""
    centre_x_m, centre_y_m = grid.centres_m()
    nearest = np.full(len(x_m), np.inf)
    for row in rows.tolist():
        dx = np.maximum(np.abs(x_m - centre_x_m[row]) - grid.cell_size_m / 2, 0.0)
        dy = np.maximum(np.abs(y_m - centre_y_m[row]) - grid.cell_size_m / 2, 0.0)
        nearest = np.minimum(nearest, np.hypot(dx, dy))
    return nearest


def kinds_of(
    past: Past, version: LoadedVersion, places: list[NDArray[np.int64]], *, exact: bool
) -> list[dict[str, Any]]:
    """Return the kind of each place, of one question: `lasting`, `new`, `fading` or `occasional`.

    A place is judged with the cells that share a side with it. Readers get no kind where fewer than the
    region's minimum of incidents are around it, and no p values.
    """
    neighbours = neighbours_of(version.cells)
    around = [np.unique(np.concatenate([rows, neighbours[rows].ravel()])) for rows in places]
    around = [rows[rows >= 0] for rows in around]
    recent = np.bincount(past.rows[past.since(RECENT_DAYS)], minlength=len(version.grid))
    both = np.bincount(past.rows[past.since(RECENT_DAYS + BEFORE_DAYS)], minlength=len(recent))
    before = both - recent
    area_km2 = version.grid.area_km2
    counts = [
        PlaceCounts(
            int(recent[rows].sum()),
            int(before[rows].sum()),
            int(recent.sum()),
            int(before.sum()),
            float(area_km2[rows].sum() / area_km2.sum()),
        )
        for rows in around
    ]
    verdicts = judged(counts)
    if exact:
        return [
            {**_shown(verdict), **_evidence(verdict, place)}
            for verdict, place in zip(verdicts, counts, strict=True)
        ]
    enough = [place.recent + place.before >= past.minimum for place in counts]
    return [
        _shown(verdict) if shown else hidden(EXPLANATIONS.make("why_kind_hidden"))
        for verdict, shown in zip(verdicts, enough, strict=True)
    ]


def hidden(reason: Message) -> dict[str, Any]:
    """Return what stands for a kind that is not shown."""
    return {"kind": None, "change": None, "reason": reason.to_json()}


def _shown(verdict: Verdict) -> dict[str, Any]:
    reason = EXPLANATIONS.make(f"why_kind_{verdict.kind}")
    return {"kind": verdict.kind, "change": verdict.change, "reason": reason.to_json()}


def _evidence(verdict: Verdict, counts: PlaceCounts) -> dict[str, Any]:
    return {
        "p_rise": verdict.p_rise,
        "p_fall": verdict.p_fall,
        "p_excess": verdict.p_excess,
        "recent": counts.recent,
        "before": counts.before,
    }
