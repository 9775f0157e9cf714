"""One conditional autoregressive flow for all windows, in the backbone's own coordinates."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from models.base import N_WINDOWS, Cells, FitContext, FloatArray, Incidents, IntArray
from models.estimator import Estimator
from models.flows.context import window_features
from models.flows.coordinates import CellRanks
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


class ConditionalDraws:
    """Minibatches of the correction: incidents of all windows, each somewhere in its cell."""

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

    The flow lives in the backbone's own coordinates (`CellRanks`), starts as the identity, which is
    the backbone, and knows the window through smooth features. Half of the members take x first,
    half y first; their densities are averaged.

    Args:
        n_members: of the ensemble.
        flow: architecture (None: `SPLINE`); its number of context features is filled in.
        training: how members are trained.
        ages: which incidents teach, which judge; None: the last 28 days judge.
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
        """Learn from the incidents before the cutoff that lie in some cell.

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
        """(168, N) mean over members of each one's ratio, exact on the study area."""
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
        """Held-out gain over the backbone and steps of each member."""
        result = self.result_
        gain = (result.score - result.initial_score).tolist()
        return {
            "member_gain": gain,
            "member_steps": result.n_steps.tolist(),
            "diverged": int(result.n_diverged.sum()),
        }
