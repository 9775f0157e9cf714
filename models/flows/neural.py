"""One conditional autoregressive flow for all windows, in coordinates of the backbone."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from models.base import (
    HOURS_PER_DAY,
    N_WINDOWS,
    SATURDAY,
    Cells,
    FitContext,
    FloatArray,
    Incidents,
    IntArray,
)
from models.estimator import Estimator
from models.flows.flow import Flow, FlowSettings
from models.flows.minibatches import Ages, split_by_age
from models.flows.randomness import member_keys
from models.flows.training import train
from models.flows.training_settings import TrainingResult, TrainingSettings

SPLINE = FlowSettings(conditional="spline", n_blocks=1, hidden=(64, 64))
TRAINING = TrainingSettings(
    n_steps=1200,
    batch_size=1024,
    learning_rate=2e-3,
    weight_decay=0.01,
    ema=0.99,
    n_validation=4096,
    patience=12,
    defensive=0.0,
)
_TINY = 1e-7


def window_features(n_daily: int = 2, n_weekly: int = 1) -> FloatArray:
    """Return smooth features (168, C) of the hour of the week.

    They are harmonics of the hour of the day, the same for weekends only, harmonics of the week, and a
    weekend flag.
    """
    hour = np.arange(N_WINDOWS)
    weekend = (hour // HOURS_PER_DAY >= SATURDAY).astype(np.float64)[:, None]
    daily = _harmonics(2 * np.pi * hour / HOURS_PER_DAY, n_daily)
    weekly = _harmonics(2 * np.pi * hour / N_WINDOWS, n_weekly)
    return np.concatenate([daily, daily * weekend, weekly, weekend], axis=1)


def _harmonics(angle: FloatArray, n: int) -> FloatArray:
    multiple = np.arange(1, n + 1) * angle[:, None]
    return np.concatenate([np.cos(multiple), np.sin(multiple)], axis=1)


class CellRanks:
    """The cells in coordinates in which the backbone is a standard normal density.

    The Knothe-Rosenblatt map of a density that is constant on cells: the marginal distribution function
    of one coordinate, then that of the other given the first (both piecewise linear), then the normal
    quantile. Each order of the coordinates gives a map of its own. A cell fills [low, high] of each
    rank; the cells of the study area tile the unit square.

    Args:
        cells: the N cells.
        probability: (N,) positive probabilities of the backbone.
    """

    def __init__(self, cells: Cells, probability: FloatArray, device: str = "cpu") -> None:
        low, high = [], []
        for first, second in ((cells.ix, cells.iy), (cells.iy, cells.ix)):
            order = np.lexsort((second, first))
            p = probability[order]
            _, start, line = np.unique(first[order], return_index=True, return_inverse=True)
            mass = np.add.reduceat(p, start)
            edge = np.concatenate([[0.0], np.cumsum(mass)]) / mass.sum()
            inner = np.cumsum(p)
            before = (inner - p) - (inner[start] - p[start])[line]
            corner = np.empty((2, len(p), 2))
            corner[0, order] = np.stack([edge[line], before / mass[line]], axis=1)
            corner[1, order] = np.stack([edge[line + 1], (before + p) / mass[line]], axis=1)
            low.append(corner[0])
            high.append(corner[1])
        self.low = torch.as_tensor(np.stack(low), dtype=torch.float32, device=device)
        self.high = torch.as_tensor(np.stack(high), dtype=torch.float32, device=device)

    def normal(self, order: Tensor, cell: Tensor, within: Tensor) -> Tensor:
        """Return normal coordinates (m, B, 2) of positions in cells.

        Args:
            order: (m,) 0: x first; 1: y first.
            cell: (m, B) rows of cells.
            within: (m, B, 2) position in the cell, in (0, 1), coordinates in that order.
        """
        low, high = self.low[order[:, None], cell], self.high[order[:, None], cell]
        rank = low + (high - low) * within
        normal: Tensor = torch.special.ndtri(rank.clamp(_TINY, 1 - _TINY))
        return normal


class ConditionalDraws:
    """Minibatches of the correction: incidents of all windows at random positions in their cells."""

    n_uniforms = 3

    def __init__(
        self,
        ranks: CellRanks,
        cell: IntArray,
        context: Tensor,
        weights: tuple[FloatArray, FloatArray],
        orders: Tensor,
    ) -> None:
        device = context.device
        self.ranks, self.context, self.orders = ranks, context, orders
        self.cell = torch.as_tensor(cell, device=device)
        self.chances = [torch.as_tensor(np.cumsum(w) / w.sum(), device=device) for w in weights]
        self.log_defensive = torch.zeros(len(orders), device=device)

    def draw(
        self, members: Tensor, uniforms: Tensor, *, held_out: bool
    ) -> tuple[Tensor, Tensor | None]:
        """See `models.flows.training_settings.Source`."""
        chance = self.chances[int(held_out)]
        row = torch.searchsorted(chance, uniforms[..., 0].double()).clamp(max=len(chance) - 1)
        x = self.ranks.normal(self.orders[members], self.cell[row], uniforms[..., 1:])
        return x, self.context[row]


class NeuralCorrection(Estimator):
    """Ratio of a conditional flow's density to a backbone's, for every window and cell.

    The flow acts in coordinates of the backbone (`CellRanks`), starts as the identity, which is the
    backbone, and is conditioned on smooth features of the window. Half of the members take x first,
    half y first; their densities are averaged.

    Args:
        n_members: size of the ensemble.
        flow: architecture (None: `SPLINE`); its number of context features is filled in.
        training: training settings.
        ages: split into training and validation incidents; None: validate on the last 28 days.
    """

    ratio_: FloatArray
    drift_ratio_: FloatArray

    def __init__(
        self,
        n_members: int = 2,
        flow: FlowSettings | None = None,
        training: TrainingSettings = TRAINING,
        ages: Ages | None = None,
    ) -> None:
        self.n_members = n_members
        self.flow = flow
        self.training = training
        self.ages = ages

    def fit(
        self, incidents: Incidents, cells: Cells, backbone: FloatArray, context: FitContext
    ) -> Self:
        """Fit to the incidents before the cutoff that lie in a cell.

        Args:
            backbone: (N,) probability of each cell, sums to one.
        """
        self.drift_ratio_ = np.ones(len(backbone))
        known = incidents.before(context.cutoff_s)
        cell = cells.locate(known.x_m, known.y_m)
        known, cell = known.take(cell >= 0), cell[cell >= 0]
        if len(known) == 0:
            self.ratio_ = np.ones((N_WINDOWS, len(backbone)))
            return self
        positive = np.maximum(backbone, 1e-9 / len(backbone))
        positive = positive / positive.sum()
        ranks = CellRanks(cells, positive, context.device)
        features = torch.as_tensor(window_features(), dtype=torch.float32, device=context.device)
        orders = torch.arange(self.n_members, device=context.device) % 2
        window = torch.as_tensor(known.window.astype(np.int64), device=context.device)
        source = ConditionalDraws(
            ranks,
            cell,
            features[window],
            split_by_age(known, self.ages or Ages(), context.cutoff_s),
            orders,
        )
        keys = member_keys(context.seed, torch.arange(self.n_members, device=context.device))
        settings = FlowSettings(**{**vars(self.flow or SPLINE), "n_context": features.shape[1]})
        self.result_: TrainingResult = train(
            Flow(keys, settings), source, self.training, context.part(0, 0.8), keys
        )
        self.ratio_ = self._ratio(ranks, orders, features, positive)
        return self

    @torch.no_grad()
    def _ratio(
        self, ranks: CellRanks, orders: Tensor, features: Tensor, backbone: FloatArray
    ) -> FloatArray:
        """Return the mean ratio (168, N) over members, normalised on the study area."""
        n_cells = len(backbone)
        centre = torch.full((len(orders), n_cells, 2), 0.5, device=features.device)
        everyone = torch.arange(n_cells, device=features.device).expand(len(orders), -1)
        x = ranks.normal(orders, everyone, centre)
        share = torch.as_tensor(backbone, device=features.device)
        base = -0.5 * x.square().sum(-1) - np.log(2 * np.pi)
        ratio = np.empty((N_WINDOWS, n_cells))
        for window, row in enumerate(features):
            context = row.expand(len(orders), n_cells, -1)
            change = (self.result_.flow.log_prob(x, context) - base).double().exp()
            change = change / (change * share).sum(1, keepdim=True)
            ratio[window] = change.mean(0).cpu().numpy()
        return ratio

    def report(self) -> dict[str, Any]:
        """Return the held-out gain over the backbone and the steps of each member."""
        result = self.result_
        gain = (result.score - result.initial_score).tolist()
        return {
            "member_gain": gain,
            "member_steps": result.n_steps.tolist(),
            "diverged": int(result.n_diverged.sum()),
        }
