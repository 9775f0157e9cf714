"""One flow per window and restart, trained as one batch and tabulated on the cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.base import Cells, FitContext, normalised
from models.estimator import Estimator
from models.flows.acceleration import training_dtype
from models.flows.flow import Flow, FlowSettings
from models.flows.minibatches import Ages, WindowedRows, split_by_age, window_kernel
from models.flows.randomness import member_keys
from models.flows.swag import SwagSettings, swag
from models.flows.training import train
from models.flows.training_settings import TrainingResult, TrainingSettings
from models.incidents import Incidents
from models.units import N_WINDOWS, FloatArray, IntArray

_CPU_BATCH_POINTS = 8_192
"""Fits the caches of a core: a third of the time per point of 200,000 points at once."""
_CUDA_BATCH_POINTS = 1 << 21
_MEMBERS_AT_ONCE = 8
_GAUSS = 0.5 / np.sqrt(3.0)


class Frame:
    """Standardised coordinates: centred, each axis in units of its standard deviation.

    Args:
        cells: the N cells.
        cell: (n,) row of each incident's cell.
    """

    def __init__(
        self, cells: Cells, cell: IntArray, device: str, dtype: torch.dtype = torch.float32
    ) -> None:
        corner = np.stack([cells.ix[cell], cells.iy[cell]], axis=1).astype(np.float64)
        self.mean = corner.mean(0) + 0.5
        self.sd = np.maximum(corner.std(0), 1.0)
        lattice = np.stack([cells.ix, cells.iy], axis=1) - self.mean
        self.low = torch.as_tensor(lattice / self.sd, dtype=dtype, device=device)
        self.step = torch.as_tensor(1 / self.sd, dtype=dtype, device=device)
        squares = float(cells.area_km2.sum() / (cells.cell_size_m / 1000.0) ** 2)
        self.log_uniform = -float(np.log(squares / self.sd.prod()))
        self.cell_area = float(1 / self.sd.prod())

    def place(self, cell: Tensor, within: Tensor) -> Tensor:
        """Return standardised coordinates (..., 2) of positions `within` (..., 2) cells (...)."""
        return self.low[cell] + self.step * within


class WindowDraws:
    """Minibatches of window flows (see `models.flows.training_settings.Source`).

    Args:
        rows: draws of training incidents, and of validation incidents.
        windows: (M,) window of each member; -1: all windows.
    """

    n_uniforms = 4

    def __init__(
        self, frame: Frame, cell: Tensor, rows: list[WindowedRows], windows: Tensor
    ) -> None:
        self.frame, self.cell = frame, cell
        self.rows = rows
        self.windows = windows
        self.log_defensive = torch.full((len(windows),), frame.log_uniform, device=cell.device)

    def draw(self, members: Tensor, uniforms: Tensor, *, held_out: bool) -> Tensor:
        """See `models.flows.training_settings.Source`."""
        rows = self.rows[int(held_out)]
        row = rows.draw(self.windows[members], uniforms[..., 0], uniforms[..., 1])
        return self.frame.place(self.cell[row], uniforms[..., 2:])


@dataclass(frozen=True)
class WindowSettings:
    """Settings of flows per window.

    Args:
        flow: architecture.
        training: training of each window's flow.
        kernel: (168, 168) weights of the hours that a window's minibatches come from.
        n_restarts: members per window; seeds differ, and the variable order alternates.
        pooled: training of a city-wide flow that all windows of a restart start from; None: random
            initial weights.
        ages: split into training and validation incidents.
        windows: windows to fit, as among all up to rounding; the others are uniform.
    """

    flow: FlowSettings
    training: TrainingSettings
    kernel: FloatArray
    n_restarts: int = 1
    pooled: TrainingSettings | None = None
    ages: Ages = field(default_factory=Ages)
    windows: tuple[int, ...] = tuple(range(N_WINDOWS))


class WindowFlows(Estimator):
    """Flows of all windows.

    Attributes:
        probability_: (R, 168, N) per restart.
        leaked_share_: (R, 168) mass outside the study area.
    """

    def __init__(self, settings: WindowSettings) -> None:
        self.settings = settings

    def fit(
        self, known: Incidents, cell: IntArray, cells: Cells, context: FitContext
    ) -> WindowFlows:
        """Train on incidents in cells; `cell` (n,) is the row of each."""
        settings, device = self.settings, context.device
        self.frame_ = Frame(cells, cell, device, training_dtype(context.precision))
        learn, judge = split_by_age(known, settings.ages, context.cutoff_s)
        hours = known.by_hour()
        cell_of = torch.as_tensor(cell[hours.incident], device=device)

        def source(kernel: FloatArray, windows: Tensor) -> WindowDraws:
            weights = (each[hours.incident] * hours.weight for each in (learn, judge))
            rows = [WindowedRows(hours.window, weight, kernel, device) for weight in weights]
            return WindowDraws(self.frame_, cell_of, rows, windows)

        restart = torch.arange(settings.n_restarts, device=device)
        chosen = torch.as_tensor(settings.windows, device=device)
        member = (restart[:, None] * N_WINDOWS + chosen).flatten()
        flow = self._new_flow(member_keys(context.seed, restart), restart)
        if settings.pooled is not None:
            alike = source(np.ones((N_WINDOWS, N_WINDOWS)), torch.zeros_like(restart))
            keys = member_keys(context.seed, restart)
            pooled = train(flow, alike, settings.pooled, context.part(0, 0.2), keys)
            flow = pooled.flow.select(member // N_WINDOWS)
        else:
            flow = self._new_flow(member_keys(context.seed, member), member // N_WINDOWS)
        self.source_ = source(settings.kernel, member % N_WINDOWS)
        self.keys_ = member_keys(context.seed + 1, member)
        self.result_: TrainingResult = train(
            flow, self.source_, settings.training, context.part(0.2, 0.9), self.keys_
        )
        self._tabulate(cells, context)
        return self

    def swag_probabilities(
        self, cells: Cells, context: FitContext, settings: SwagSettings, n_draws: int
    ) -> FloatArray:
        """Return probabilities (n_draws, R, W, N) of flows with weights drawn by SWAG.

        W is the number of fitted windows; see `models.flows.swag`.
        """
        flow = self.result_.flow
        posterior = swag(flow, self.source_, settings, context.part(0, 0.5), self.keys_)
        shape = (self.settings.n_restarts, len(self.settings.windows), len(cells.area_km2))
        reading = context.part(0.5, 1)
        return np.stack(
            [
                self._probabilities(self._mass(drawn, cells, reading), cells).reshape(shape)
                for drawn in posterior.draws(n_draws, context.seed)
            ]
        )

    def _new_flow(self, keys: Tensor, restart: Tensor) -> Flow:
        """Create flows; half of the restarts take x first, half y first."""
        first = (restart % 2)[:, None]
        return Flow(keys, self.settings.flow, torch.cat([first, 1 - first], dim=1))

    def _tabulate(self, cells: Cells, context: FitContext) -> None:
        """Tabulate all members on the cells; windows that were not fitted are uniform."""
        mass = self._mass(self.result_.flow, cells, context.part(0.9, 1))
        n_restarts, chosen = self.settings.n_restarts, list(self.settings.windows)
        self.leaked_share_ = np.zeros((n_restarts, N_WINDOWS))
        self.leaked_share_[:, chosen] = np.clip(1 - mass.sum(1), 0, 1).reshape(n_restarts, -1)
        uniform = cells.area_km2 / cells.area_km2.sum()
        self.probability_ = np.tile(uniform, (n_restarts, N_WINDOWS, 1))
        probability = self._probabilities(mass, cells)
        self.probability_[:, chosen] = probability.reshape(n_restarts, len(chosen), -1)

    def _probabilities(self, mass: FloatArray, cells: Cells) -> FloatArray:
        """Normalise masses (M, N) on the study area, with the defensive component."""
        return normalised(mass, cells.area_km2, max(self.settings.training.defensive, 1e-3))

    @torch.no_grad()
    def _mass(self, flow: Flow, cells: Cells, context: FitContext) -> FloatArray:
        """Return masses (M, N): mean density over 2 x 2 Gauss points per cell, times its area."""
        n_cells = len(cells.area_km2)
        offset = torch.tensor(
            [[0.5 + a * _GAUSS, 0.5 + b * _GAUSS] for a in (-1, 1) for b in (-1, 1)],
            dtype=torch.float32,
            device=context.device,
        )
        everyone = torch.arange(n_cells, device=context.device)
        x = self.frame_.place(everyone[:, None].expand(-1, 4), offset.expand(n_cells, -1, -1))
        parts = []
        for start in range(0, flow.n_members, _MEMBERS_AT_ONCE):
            context.report(start / flow.n_members, "tabulating on the cells")
            end = min(flow.n_members, start + _MEMBERS_AT_ONCE)
            members = torch.arange(start, end, device=context.device)
            parts.append(self._cell_density(flow.select(members), x))
        fill = cells.area_km2 / (cells.cell_size_m / 1000.0) ** 2
        return np.nan_to_num(np.concatenate(parts) * self.frame_.cell_area * fill, posinf=0.0)

    @staticmethod
    def _cell_density(flow: Flow, x: Tensor) -> FloatArray:
        """Return the mean density (m, N) over the points (N, 4, 2) of each cell."""
        m = flow.n_members
        n_points = _CPU_BATCH_POINTS if x.device.type == "cpu" else _CUDA_BATCH_POINTS
        step = max(1, n_points // (4 * m))
        parts = []
        for start in range(0, len(x), step):
            part = x[start : start + step]
            log_p = flow.log_prob(part.float().reshape(1, -1, 2).expand(m, -1, -1))
            parts.append(log_p.double().exp().reshape(m, len(part), 4).mean(2))
        density: FloatArray = torch.cat(parts, dim=1).cpu().numpy()
        return density

    def report(self) -> dict[str, Any]:
        """Return held-out score, steps and failures of the members."""
        result = self.result_
        return {
            "held_out_nats": float(result.score.mean()),
            "steps_mean": float(result.n_steps.double().mean()),
            "diverged": int(result.n_diverged.sum()),
            "leaked_share": float(self.leaked_share_.mean()),
        }


def window_preset(n_restarts: int = 1) -> WindowSettings:
    """Return fast and stable settings of independent flows per window.

    They start from one city-wide flow, use incidents of similar hours, and stop early.
    """
    return WindowSettings(
        flow=FlowSettings(conditional="spline", n_blocks=2, hidden=(32, 32)),
        training=TrainingSettings(
            n_steps=100,
            batch_size=256,
            learning_rate=2e-3,
            warmup_steps=10,
            check_every=25,
            patience=2,
            ema=0.95,
        ),
        kernel=window_kernel(sd_hours=2.0, like_days=0.5, other_days=0.05),
        n_restarts=n_restarts,
        pooled=TrainingSettings(
            n_steps=500, batch_size=1024, learning_rate=5e-3, n_validation=2048
        ),
    )


def paper_preset(n_blocks: int = 5, width: int = 64, n_restarts: int = 1) -> WindowSettings:
    """Return the study's settings: MADE blocks with batch normalisation, windows independent.

    Args:
        n_blocks: number of blocks, 5 to 25 in the study.
        width: width of the two hidden layers, up to 1024 in the study.
        n_restarts: flows per window.
    """
    return WindowSettings(
        flow=FlowSettings(n_blocks=n_blocks, hidden=(width, width), normalisation="batchnorm"),
        training=TrainingSettings(
            n_steps=300,
            batch_size=256,
            learning_rate=1e-3,
            warmup_steps=1,
            clip_norm=1e9,
            ema=0.0,
            patience=5,
            defensive=0.0,
            n_restarts=0,
        ),
        kernel=window_kernel(sd_hours=0.0, like_days=0.0, other_days=0.0),
        n_restarts=n_restarts,
        ages=Ages(held_out_days=28.0),
    )
