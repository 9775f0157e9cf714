"""How much memory a job will take: what the same took before, or a formula until it has run once."""

from __future__ import annotations

import json
import math

from shapely import area, get_coordinates
from shapely.geometry import shape
from sqlalchemy import Connection, text

from app.runs.kinds import BACKTEST, KIND_OF_TASK, SYNC
from app.runs.taking import WaitingJob

STATES_BYTES = 700 << 20
"""Of a process that brings forecasts up to date."""
SYNC_BYTES = 300 << 20
MARGIN = 1.1
"""Above what was measured: the region has grown since."""
N_RUNS = 5
"""Newest runs whose largest peak counts."""
_BASE_BYTES = 550 << 20
_CELL_BYTES = 12_000
_INCIDENT_BYTES, _MANY_INCIDENTS = 3_700, 250_000
_FURTHER_INCIDENT_BYTES = 420
_USUAL_CELLS = 10_000
_KM_PER_DEGREE = 111.32
_MEMBERS = {"train": "model", "backtest": "models", "sync": "source"}
"""The member of a request that says, beside the region, what memory is needed for."""
_MEASURED = """
    SELECT max(peak_memory_bytes) FROM (
        SELECT peak_memory_bytes FROM {table}
        WHERE region_key = :region AND peak_memory_bytes IS NOT NULL
          AND request->'{member}' = CAST(:request AS jsonb)->'{member}'
        ORDER BY created_at DESC LIMIT :n
    ) AS runs
"""
_SIZE = text(
    """
    WITH newest AS (
        SELECT n_incidents, octet_length(grid.cell_id) / 8 AS n_cells
        FROM model_versions AS version JOIN grids AS grid ON grid.sha256 = version.grid_sha256
        WHERE version.region_key = :region ORDER BY version.created_at DESC LIMIT 1
    )
    SELECT coalesce(
               (SELECT n_incidents FROM newest),
               (SELECT count(*) FROM (
                   SELECT FROM incidents WHERE region_key = :region LIMIT 5000000) AS found)
           ) AS n_incidents,
           (SELECT n_cells FROM newest) AS n_cells,
           cell_size_m,
           CASE WHEN EXISTS (SELECT FROM newest) THEN NULL ELSE boundary END AS boundary
    FROM regions WHERE key = :region
    """
)


def estimated_bytes(connection: Connection, job: WaitingJob, n_processes: int) -> int:
    """Return how much memory a job will take with all its processes.

    Args:
        n_processes: of a backtest, or of a helper with one.
    """
    if job.region_key is None or job.request is None:
        return _BASE_BYTES  # its run is gone
    kind = KIND_OF_TASK.get(job.task_name, BACKTEST)
    query = text(_MEASURED.format(table=kind.table.name, member=_MEMBERS[kind.name]))
    values = {"region": job.region_key, "request": json.dumps(job.request), "n": N_RUNS}
    measured: int | None = connection.scalar(query, values)
    if measured is not None:
        return math.ceil(measured * MARGIN)
    if kind is SYNC:
        return SYNC_BYTES
    n_incidents, n_cells = _size(connection, job.region_key)
    one = formula_bytes(n_incidents, n_cells)
    # Beside the processes that fit, the one that leads has the incidents.
    return one if kind is not BACKTEST else (max(1, n_processes) + 1) * one


def formula_bytes(n_incidents: int, n_cells: int) -> int:
    """Return what a training takes, by those of the synthetic city (docs/deployment.md).

    Whatever its model is: validation also fits the champion's, usually a `stack`.
    """
    further = max(0, n_incidents - _MANY_INCIDENTS)
    of_incidents = _INCIDENT_BYTES * (n_incidents - further) + _FURTHER_INCIDENT_BYTES * further
    return _BASE_BYTES + _CELL_BYTES * n_cells + of_incidents


def _size(connection: Connection, region_key: int) -> tuple[int, int]:
    """Return how many incidents and cells a region has, roughly."""
    row = connection.execute(_SIZE, {"region": region_key}).one_or_none()
    if row is None:
        return 0, _USUAL_CELLS
    if row.n_cells is not None or row.boundary is None:
        return int(row.n_incidents), int(row.n_cells or _USUAL_CELLS)
    found = shape(row.boundary)
    latitude = float(get_coordinates(found)[:, 1].mean())
    area_km2 = area(found) * math.cos(math.radians(latitude)) * _KM_PER_DEGREE**2
    return int(row.n_incidents), round(area_km2 * 1e6 / row.cell_size_m**2)
