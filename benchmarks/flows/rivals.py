"""Flow libraries as an ordinary user would run them: one fit per window, in a loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import zuko

from models.base import Cells, normalised
from models.incidents import Incidents
from models.units import N_WINDOWS, FloatArray

STEPS, BATCH, LEARNING_RATE = 840, 256, 1e-3
BLOCKS, WIDTH = 5, 64
_GAUSS = 0.5 / np.sqrt(3.0)


@dataclass(frozen=True)
class LoopResult:
    """A loop over some windows.

    Args:
        seconds: of the windows that were fitted.
        seconds_all: of all 168, extrapolated from those.
        probability: {window: (N,)}.
        diverged: fits that ended without a finite density.
    """

    seconds: float
    seconds_all: float
    probability: dict[int, FloatArray]
    diverged: int


def fit_zuko(points: torch.Tensor, seed: int, n_dims: int = 2) -> Any:
    """A zuko MAF 5 x 64 x 64 on standardised points (n, D), its defaults, 840 steps of 256."""
    torch.manual_seed(seed)
    flow = zuko.flows.MAF(n_dims, 0, transforms=BLOCKS, hidden_features=(WIDTH, WIDTH))
    optimizer = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE)
    for _ in range(STEPS):
        batch = points[torch.randint(len(points), (BATCH,))]
        loss = -flow().log_prob(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return flow


def _nflows(width: int) -> Any:
    from nflows.flows.autoregressive import MaskedAutoregressiveFlow

    return MaskedAutoregressiveFlow(2, width, BLOCKS, 2)


def _normflows(width: int) -> Any:
    import normflows

    layers: list[Any] = []
    for _ in range(BLOCKS):
        layers.append(normflows.flows.MaskedAffineAutoregressive(2, width, num_blocks=2))
        layers.append(normflows.flows.LULinearPermute(2))
    base = normflows.distributions.DiagGaussian(2, trainable=False)
    return normflows.NormalizingFlow(base, layers)


LIBRARIES: dict[str, Callable[[int], Any]] = {
    "zuko": lambda width: zuko.flows.MAF(2, 0, transforms=BLOCKS, hidden_features=(width, width)),
    "nflows": _nflows,
    "normflows": _normflows,
}


def seconds_of_a_fit(library: str, width: int, points: torch.Tensor, seed: int) -> float | None:
    """Seconds of one fit of 5 blocks, 840 steps of 256, on points (n, 2); None: not installed."""
    torch.manual_seed(seed)
    try:
        flow = LIBRARIES[library](width)
    except ImportError:
        return None
    optimizer = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE)
    started = time.perf_counter()
    for _ in range(STEPS):
        batch = points[torch.randint(len(points), (BATCH,))]
        density = flow() if library == "zuko" else flow
        loss = -density.log_prob(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - started


def zuko_loop(known: Incidents, cells: Cells, windows: Sequence[int], seed: int = 0) -> LoopResult:
    """One zuko flow per window on its own incidents, read off on the cells.

    As fair as it gets: coordinates are standardised, repeated geocodes are jittered within their cell,
    and the density is integrated over the cells, renormalised on the study area and given the same
    uniform floor as ours.
    """
    rng = np.random.default_rng(seed)
    rows = cells.locate(known.x_m, known.y_m)
    place = np.stack([cells.ix[rows], cells.iy[rows]], axis=1) + rng.random((len(rows), 2))
    mean, sd = place.mean(0), place.std(0)
    centre = np.stack([cells.ix, cells.iy], axis=1) + 0.5
    offset = np.array([[a, b] for a in (-_GAUSS, _GAUSS) for b in (-_GAUSS, _GAUSS)])
    look = torch.tensor(((centre[:, None] + offset) - mean) / sd, dtype=torch.float32)
    seconds, diverged, found = 0.0, 0, {}
    for window in windows:
        points = torch.tensor((place[known.window == window] - mean) / sd, dtype=torch.float32)
        started = time.perf_counter()
        flow = fit_zuko(points, seed)
        seconds += time.perf_counter() - started
        with torch.no_grad():
            density = flow().log_prob(look.reshape(-1, 2)).double().exp()
        mass = density.reshape(len(centre), 4).mean(1).numpy() * cells.area_km2
        diverged += int(not np.all(np.isfinite(mass)) or mass.sum() <= 0)
        found[window] = normalised(np.nan_to_num(mass, posinf=0.0), cells.area_km2)
    return LoopResult(seconds, seconds * N_WINDOWS / len(windows), found, diverged)


def mean_score(tables: dict[int, FloatArray], test: Incidents, cells: Cells) -> tuple[float, int]:
    """Mean nats per incident (density per km2) over the windows of `tables`, and how many."""
    rows = cells.locate(test.x_m, test.y_m)
    parts = []
    for window, probability in tables.items():
        mine = rows[(test.window == window) & (rows >= 0)]
        parts.append(np.log(probability[mine]) - np.log(cells.area_km2[mine]))
    scores = np.concatenate(parts)
    return float(scores.mean()), len(scores)
