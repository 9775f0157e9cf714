"""What a backtest keeps of each fit, so that plans of any size can be made at its origins later.

Only the best cells by hour of the day are stored: zones lie among them. Incidents are not: they are counted
when a record is asked for, so that an erasure leaves nothing behind here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.geo.grid import Grid
from models.base import DensityModel
from models.evaluation.metrics import ranked_rows
from models.units import N_WINDOWS, IntArray

if TYPE_CHECKING:
    from app.evaluation.backtests.checkpoints import TaskResult

N_CELLS = 160
DAY_HOURS = 24


@dataclass(frozen=True)
class PlanShares:
    """Rows (K,) of a fit's best cells, and what share of all incidents it gives each by hour (24, K)."""

    rows: NDArray[np.int32]
    shares: NDArray[np.float16]


def plan_shares(fitted: DensityModel, past_window: NDArray[np.int16]) -> PlanShares:
    """Return the shares of a fit; hours weigh as past incidents (n,) fell into the windows."""
    weight = 1.0 + np.bincount(past_window, minlength=N_WINDOWS).astype(np.float64)
    weight = (weight / weight.sum()).reshape(-1, DAY_HOURS)
    tables = fitted.probability_
    if len(tables) == 1:
        by_hour = weight.sum(axis=0)[:, None] * tables
    else:
        daily = tables.reshape(-1, DAY_HOURS, tables.shape[1])
        by_hour = np.einsum("dh,dhn->hn", weight, daily)
    rows = np.sort(ranked_rows(by_hour.sum(axis=0))[:N_CELLS])
    return PlanShares(rows.astype(np.int32), _scaled(by_hour[:, rows]))


def _scaled(shares: NDArray[np.float64]) -> NDArray[np.float16]:
    """Return values in a range that two bytes hold; only their ratios matter."""
    most = float(shares.max())
    return (shares / most if most > 0 else shares).astype(np.float16)


def plans_json(results: Sequence[TaskResult], grid: Grid) -> dict[str, Any]:
    """Return {model: {origin (UTC seconds): cells and shares}} of the first seed."""
    seed = min(result.task.seed for result in results)
    found: dict[str, Any] = {}
    for result in results:
        if result.plan is None or result.task.seed != seed:
            continue
        found.setdefault(result.task.model, {})[str(result.task.origin_s)] = {
            "cells": _text(grid.cell_id[result.plan.rows].astype(np.int64)),
            "shares": _text(result.plan.shares),
        }
    return found


def read_plan(stored: Mapping[str, str]) -> tuple[IntArray, NDArray[np.float64]]:
    """Return the ids (K,) of cells and their shares (24, K)."""
    cells = np.frombuffer(base64.b64decode(stored["cells"]), np.int64)
    shares = np.frombuffer(base64.b64decode(stored["shares"]), np.float16)
    return cells, shares.astype(np.float64).reshape(DAY_HOURS, len(cells))


def grid_digest(grid: Grid) -> str:
    """Return the SHA-256 of where a grid lies, and of its cells and areas."""
    lies = (grid.crs, grid.x0_m, grid.y0_m, grid.cell_size_m, grid.nx, grid.ny)
    digest = hashlib.sha256(repr(lies).encode())
    digest.update(grid.cell_id.tobytes() + grid.area_km2.tobytes())
    return digest.hexdigest()


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
