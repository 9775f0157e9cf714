"""Incidents whose place leans with the hour of the day, drawn from known tables."""

import numpy as np

from app.geo.grid import Grid
from models.incidents import Incidents
from models.units import N_WINDOWS, FloatArray

CUTOFF_S = 1_700_006_400


def uneven_backbone(n_cells: int) -> FloatArray:
    """Some cells with much, many with little."""
    weight = np.random.default_rng(1).gamma(0.7, size=n_cells) + 0.01
    return np.asarray(weight / weight.sum())


def planted(cells: Grid, backbone: FloatArray, strength: float) -> FloatArray:
    """East by night, west by day: probabilities (168, N)."""
    hour = np.arange(N_WINDOWS) % 24
    east = (cells.ix / cells.nx - 0.5)[None, :] * 2
    lean = strength * np.cos(2 * np.pi * hour / 24)[:, None] * east
    table = backbone * np.exp(lean)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def drawn(cells: Grid, table: FloatArray, n: int, seed: int, days: int = 700) -> Incidents:
    """Incidents of random hours before `CUTOFF_S`, in cells drawn from a table (168, N)."""
    rng = np.random.default_rng(seed)
    hours = np.sort(rng.integers(-days * 24, 0, n))
    time_s = CUTOFF_S + hours * 3600 + rng.integers(0, 3600, n)
    window = time_s // 3600 % N_WINDOWS
    cumulative = np.cumsum(table, axis=1)
    picked = [np.searchsorted(cumulative[w], u) for w, u in zip(window, rng.random(n), strict=True)]
    row = np.minimum(np.array(picked), len(cells.ix) - 1)
    x_m = (cells.ix[row] + rng.random(n)) * 250.0
    y_m = (cells.iy[row] + rng.random(n)) * 250.0
    order = np.argsort(time_s, kind="stable")
    return Incidents(
        x_m[order].astype(np.float32),
        y_m[order].astype(np.float32),
        time_s[order],
        window[order].astype(np.int16),
        np.zeros(n, np.int32),
    )


def mean_log_score(table: FloatArray, incidents: Incidents, cells: Grid) -> float:
    """Mean log probability of incidents under a table (168, N), in nats."""
    rows = cells.locate(incidents.x_m, incidents.y_m)
    return float(np.log(table[incidents.window.astype(int), rows]).mean())
