"""The fairness report of a version: distribution of its flagged cells, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from app.core.errors import InvalidInput
from app.core.texts import shortened
from app.evaluation.fairness.presence import Evidence, all_by_source, presence_audit
from app.evaluation.fairness.shares import groups_report, share_report
from app.geo.grid import Grid
from app.geo.neighbourhoods import Neighbourhoods, divide
from app.incidents.column_store import IncidentColumns, ReleaseCut, read_columns
from app.incidents.release_cuts import reader_cut
from app.incidents.releases import known_categories, minimum_of
from app.regions.category_store import kind_names
from app.regions.kinds import Kinds, folded
from app.regions.learning_policy import LearningPolicy
from app.regions.store import OutlinedRegion, Region, get_region, outlined
from app.registry import store as registry
from app.registry.stored_model import StoredModel
from app.releases import store as releases
from app.releases.small_counts import OTHER, fold_names, grouped_disparity, hidden, too_small
from models.evaluation.fairness import as_if_reported, flagged_fraction
from models.evaluation.hotspot_area import FLAGGED_PERCENT, flagged_cells, overlap
from models.units import N_WINDOWS, Float32Array, FloatArray

LOOK_BACK = timedelta(days=365)


def fairness_report(
    engine: Engine,
    region_id: str,
    selector: str | None = None,
    reporting: Mapping[str, float] | None = None,
    *,
    exact: bool = True,
) -> dict[str, Any]:
    """Compare flagged shares by neighbourhood with the incidents of the year before the data end.

    With a population layer, also per head and between groups. The flagged cells are the top 5 % of
    every hour of the week.

    Args:
        engine: the database.
        region_id: the region.
        selector: a version or a model's name; None: the champion.
        reporting: {neighbourhood: share of its incidents that is reported}, 1 if missing; the report
            then includes how the flagged area would move if all incidents were reported.
        exact: the caller may list incidents; others see the incidents of the version's release, without
            neighbourhoods that represent few of them.

    Raises:
        NotFound: the region or version does not exist.
        NotReady: the region has no version yet.
        InvalidInput: a neighbourhood is unknown, or a rate is out of range.
    """
    region, version, (grid, boundary), tables, columns, shown = _evidence(
        engine, region_id, selector, exact=exact
    )
    model = StoredModel(tables.astype(np.float64), grid.area_km2)
    flagged = flagged_cells(model)
    parts = divide(grid, region.neighbourhoods)
    found = _by_part(version, region, grid, columns, flagged)
    rows = found["neighbourhoods"]
    minimum = LearningPolicy.of(region.settings).minimum_count if exact else minimum_of(region)
    excluded = version.report.get("data", {}).get("excluded_categories", [])
    left_out = too_small([row["incidents"] for row in rows], minimum)
    presence, hours = None, None
    if exact:
        start, end = version.cutoff - LOOK_BACK, version.cutoff
        with engine.begin() as connection:
            by_source = all_by_source(connection, region, start, end)
        probability = model.probability_
        of = Evidence(region, grid, boundary, probability, flagged, columns, by_source, start, end)
        presence, hours = presence_audit(engine, of) or (None, None)
    return {
        "region": region.id,
        "model": version.model,
        "model_version": version.version,
        "trained_until": version.cutoff.isoformat(),
        "incidents_since": (version.cutoff - LOOK_BACK).isoformat(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "flagged_percent": FLAGGED_PERCENT,
        "named_parts": region.neighbourhoods is not None,
        "minimum_count": minimum,
        "n_incidents": found["n_incidents"],
        "disparity": grouped_disparity(
            np.array([row["flagged_share"] for row in rows]),
            np.array([row["incident_share"] for row in rows]),
            left_out,
        ),
        "neighbourhoods": _with_presence(
            _per_head(rows, parts, flagged, grid, left_out), parts, hours
        ),
        "presence": presence,
        "groups": groups_report(parts, flagged, grid),
        "excluded_categories": excluded if exact else fold_names(excluded, shown),
        "under_reporting": _under_reporting(model, parts, flagged, grid, reporting),
    }


def _evidence(
    engine: Engine, region_id: str, selector: str | None, *, exact: bool
) -> tuple[
    OutlinedRegion,
    registry.VersionRecord,
    tuple[Grid, dict[str, Any]],
    Float32Array,
    IncidentColumns,
    frozenset[str],
]:
    """Read in one transaction what a report needs: probabilities (W, N) and the year's incidents."""
    with engine.begin() as connection:
        region = outlined(connection, get_region(connection, region_id))
        version = registry.get_version(connection, region.key, selector)
        ground = registry.grid_of(connection, version)
        tables = registry.read_probabilities(
            connection, region.key, version.version, registry.ALL_CATEGORIES, range(N_WINDOWS)
        )
        known = set(kind_names(connection, region))
        kinds = Kinds.of(region.settings)
        trained = {folded(kinds.kind(name)) for name in version.categories}
        learnt = sorted(name for name in known if folded(name) in trained)
        if OTHER in version.categories:
            left_out = version.report.get("data", {}).get("excluded_categories", [])
            learnt = sorted(known - set(left_out))
        shown = frozenset() if exact else known_categories(connection, region)
        since, cut = version.cutoff - LOOK_BACK, None
        if not exact:
            cut = _reader_cut(connection, region, version, since)
            since = version.cutoff if cut is None else cut.since
        until = version.cutoff if cut is None else None
        columns = read_columns(connection, region, since, until, learnt, cut=cut)
    return region, version, ground, tables, columns, shown


def _reader_cut(
    connection: Connection, region: Region, version: registry.VersionRecord, since: datetime
) -> ReleaseCut | None:
    """Return the cut of the release that a version was, or would have been, trained on, if any."""
    seq = version.settings.get("release")
    held = releases.get(connection, region.key, seq) if seq else None
    found = held or releases.first_to(connection, region.key, version.cutoff)
    return None if found is None else reader_cut(connection, region, found, since)


def parse_rates(texts: Sequence[str]) -> dict[str, float]:
    """Parse `name=rate` texts to {neighbourhood: rate}.

    Raises:
        InvalidInput: a text is not such a pair.
    """
    found = {}
    for text in texts:
        name, sign, rate = text.rpartition("=")
        try:
            found[name] = float(rate)
        except ValueError:
            sign = ""
        if not sign or not name:
            raise InvalidInput(
                f"reporting must be neighbourhood=rate, got {shortened(text)}", field="reporting"
            )
    return found


def _by_part(
    version: registry.VersionRecord,
    region: OutlinedRegion,
    grid: Grid,
    columns: IncidentColumns,
    flagged: NDArray[np.int32],
) -> dict[str, Any]:
    rows = grid.locate(columns.x_m, columns.y_m)
    inside = rows >= 0
    shares = share_report(
        {version.model: [flagged]},
        rows[inside],
        columns.time_s[inside],
        grid,
        region.neighbourhoods,
        # Disparities use all shares; `fairness_report` removes the small ones.
        minimum_count=0,
    )
    n = int(inside.sum())
    return {
        "n_incidents": n,
        "neighbourhoods": [
            {
                **{k: v for k, v in row.items() if k != "flagged_share"},
                "flagged_share": row["flagged_share"][version.model],
                "incidents": round(row["incident_share"] * n),
            }
            for row in shares["rows"]
        ],
    }


def _per_head(
    rows: list[dict[str, Any]],
    parts: Neighbourhoods,
    flagged: NDArray[np.int32],
    grid: Grid,
    left_out: set[int],
) -> list[dict[str, Any]]:
    """Add ratios with intervals and figures per 1,000 residents; remove numbers that are too small."""
    fraction = flagged_fraction(flagged, parts.part, len(parts.names), grid.area_km2)
    area_km2 = np.bincount(parts.part, weights=grid.area_km2, minlength=len(parts.names))
    place = {name: i for i, name in enumerate(parts.names)}
    found = []
    for row in rows:
        i = place[row["name"]]
        people = float(parts.population[i]) if np.isfinite(parts.population[i]) else None
        hours = float(fraction[i] * area_km2[i] * N_WINDOWS)
        shown = {**row, **_ratios(row), "residents": people}
        shown["flagged_km2_hours_per_week"] = hours
        shown["flagged_km2_hours_per_1000"] = 1000 * hours / people if people else None
        shown["incidents_per_1000"] = 1000 * row["incidents"] / people if people else None
        found.append(shown)
    return [hidden(row) if i in left_out else row for i, row in enumerate(found)]


def _with_presence(
    rows: list[dict[str, Any]], parts: Neighbourhoods, hours: FloatArray | None
) -> list[dict[str, Any]]:
    """Add each neighbourhood's share of the hours of presence, if there are any."""
    if hours is None or not hours.sum():
        return [{**row, "presence_share": None} for row in rows]
    found = np.bincount(parts.part, hours, len(parts.names)) / hours.sum()
    share = dict(zip(parts.names, found.tolist(), strict=True))
    return [{**row, "presence_share": share[row["name"]]} for row in rows]


def _ratios(row: Mapping[str, Any]) -> dict[str, float | None]:
    """Return flagged share over incident share, with its interval."""

    def over(share: float) -> float | None:
        return row["flagged_share"] / share if share > 0 else None

    return {
        "ratio": over(row["incident_share"]),
        "ratio_lo": over(row["incident_share_hi"]),
        "ratio_hi": over(row["incident_share_lo"]),
    }


def _under_reporting(
    model: StoredModel,
    parts: Neighbourhoods,
    flagged: NDArray[np.int32],
    grid: Grid,
    reporting: Mapping[str, float] | None,
) -> dict[str, Any] | None:
    if not reporting:
        return None
    unknown = sorted(set(reporting) - set(parts.names))
    if unknown:
        raise InvalidInput(f"unknown neighbourhood {shortened(unknown[0])}", field="reporting")
    rate = np.array([reporting.get(name, 1.0) for name in parts.names])
    try:
        moved = as_if_reported(model.probability_, parts.part, rate)
    except ValueError as error:
        raise InvalidInput(str(error), field="reporting") from error
    then = flagged_cells(StoredModel(moved, grid.area_km2))
    return {
        "reporting": dict(zip(parts.names, rate.tolist(), strict=True)),
        "overlap": overlap(flagged, then),
        "flagged_share": {
            name: {"now": float(a), "then": float(b)}
            for name, a, b in zip(
                parts.names, _shares(flagged, parts, grid), _shares(then, parts, grid), strict=True
            )
        },
    }


def _shares(flagged: NDArray[np.int32], parts: Neighbourhoods, grid: Grid) -> FloatArray:
    rows = flagged.ravel()
    found = np.bincount(parts.part[rows], weights=grid.area_km2[rows], minlength=len(parts.names))
    result: FloatArray = found / found.sum()
    return result
