"""A masked autoregressive flow over place and hour of the week, on the cells of a study area.

In the ranks of a base density (`models.flows.rosenblatt`) the flow with the hour last is

    z1 = u1,  z2 = u2,  z3 = F(hour | u1, u2),

and the flow with the hour first is, for each hour w,

    z1 = F_w(u1),  z2 = F_w(u2 | u1),

every F a monotone spline of degree one, with knots at the edges of cells and hours (Mueller et al.
2019, "Neural importance sampling"). A masked linear conditioner (MADE, Germain et al. 2015) gives the
log slopes of all knots in one pass from the coordinates before: those of the hour from the place, by
the weights of its lattices; with the hour first, those of x from features of the hour, and those of y
from these features and the line of cells that lies at x. Weights from later coordinates are zero.

Both orders give a density of the places in each of the 168 windows: with the hour first as it stands,
with the hour last by Bayes' rule. The density of a window is again a triangular map (`RosenblattMap`),
through whose inverse samples are drawn.

The weights have a Gaussian-process prior: over hours by features (`models.fields.priors`), over places
by lattices from kilometres to cells (`models.fields.lattice`). The penalised likelihood is convex in
the weights: a fit has one optimum, without seeds, early stopping or divergence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from models.bands import Band
from models.base import Cells, FitContext
from models.estimator import Estimator
from models.fields.lattice import Lattice
from models.fields.posterior import field_variances
from models.fields.priors import HOURS, HourSettings, with_nuisance
from models.fields.tilt import Counts, OverLines, OverRows, TiltSettings, fit_tilt, tensor
from models.flows.rosenblatt import First, RosenblattMap, coordinates
from models.hour_table import HourTable, blocks
from models.units import N_WINDOWS, FloatArray, IntArray

FIRST_SPREAD = 0.5
"""Prior standard deviations of the first coordinate's slopes, relative to those of the second's: a whole
column varies less between the hours than a cell does."""


class CellFlow(Estimator, ABC):
    """A flow over the cells and the windows.

    Args:
        hours: prior of the conditioner's weights.
        strength: factor of the fitted weights, below 1 for small samples.
        tilt: settings of the fits.

    Attributes:
        probability_: (168, N) probabilities of the cells in each window, rows sum to one.
    """

    def __init__(
        self,
        hours: HourSettings = HOURS,
        strength: float = 1.0,
        tilt: TiltSettings | None = None,
    ) -> None:
        self.hours = hours
        self.strength = strength
        self.tilt = tilt

    @property
    @abstractmethod
    def probability_(self) -> FloatArray: ...

    @abstractmethod
    def fit(
        self, counts: Sequence[Counts], base: FloatArray, cells: Cells, context: FitContext
    ) -> Self:
        """Fit to each table of counts, and average on the log scale.

        Args:
            counts: tables (168, N) of weighted incidents.
            base: (N,) positive probabilities of the base, sum to one.

        Raises:
            FitCancelled: the caller asked to stop.
        """


class HourLastFlow(CellFlow):
    """The flow in the order x, y, hour: when, given the place.

    Fitted to one table of counts, the places keep the density of the base over all hours together,
    which the other order does not promise; the mean of several tables keeps it nearly.

    Attributes:
        weights_: (R, N) mean weights of the features of the hour at each cell.
        hour_share_: (168,) mean share of each window under the flow.
        table_: the probabilities, as factors.
    """

    weights_: FloatArray
    hour_share_: FloatArray
    table_: HourTable

    @property
    def probability_(self) -> FloatArray:
        """The probabilities, computed from their factors."""
        return self.table_.whole()

    def fit(
        self, counts: Sequence[Counts], base: FloatArray, cells: Cells, context: FitContext
    ) -> Self:
        """See `CellFlow.fit`."""
        features = self.hours.features()
        lattice = Lattice.of_cells(cells, self.hours.spread, context.device)
        log_place = np.log(base)
        self.weights_ = np.zeros((features.shape[1], len(base)))
        self.hour_share_ = np.zeros(N_WINDOWS)
        for i, table in enumerate(counts):
            part = context.part(i / len(counts), (i + 1) / len(counts))
            # One more incident in every window, for those without any.
            share = (np.asarray(table.sum(axis=1)) + 1) / (table.sum() + N_WINDOWS)
            fields = fit_tilt(
                table,
                tensor(np.log(share)[:, None], context.device),
                tensor(features, context.device),
                lattice,
                part,
                self.tilt,
                OverRows(),
            )
            weights = self.strength * fields.double().cpu().numpy().T
            own, log_sum = _joint(features, weights, np.log(share), base)
            log_place -= log_sum / len(counts)
            self.weights_ += weights / len(counts)
            self.hour_share_ += own / len(counts)
        # What is the same in all cells of a window, the shares of it, goes with its sum.
        self.table_ = HourTable.normalised(features, self.weights_, log_place)
        self.cells_ = cells
        return self

    def _maps(self) -> tuple[RosenblattMap, FloatArray, FloatArray]:
        """Return the map of the place, and each place's shares (168, N) and sums of hours (169, N)."""
        joint = self.hour_share_[:, None] * self.probability_
        place = joint.sum(axis=0)
        share = joint / place
        edge = np.concatenate([np.zeros((1, len(place))), np.cumsum(share, axis=0)])
        return RosenblattMap(self.cells_, place), share, edge / edge[-1]

    def forward(self, rows: IntArray, within: FloatArray, hour: FloatArray) -> FloatArray:
        """Map incidents to ranks (n, 3) of x, y and the hour, uniform under the flow.

        Args:
            rows: (n,) cells.
            within: (n, 2) positions in the cells, in [0, 1), x before y.
            hour: (n,) hours since the start of the week, in [0, 168).
        """
        place, share, edge = self._maps()
        window = hour.astype(np.int64)
        last = edge[window, rows] + share[window, rows] * (hour - window)
        return np.column_stack([place.forward(rows, within), last])

    def inverse(self, rank: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
        """Map ranks (n, 3) in [0, 1) to cells (n,), positions within them (n, 2), and hours (n,)."""
        place, share, edge = self._maps()
        rows, within = place.inverse(rank[:, :2])
        window = (edge[1:-1, rows] <= rank[:, 2]).sum(axis=0)
        past = (rank[:, 2] - edge[window, rows]) / share[window, rows]
        return rows, within, window + np.clip(past, 0.0, np.nextafter(1.0, 0.0))

    def posterior(self, counts: Counts, cells: Cells, context: FitContext) -> Band:
        """Return the posterior variances of the log probabilities, of the Laplace approximation.

        Args:
            counts: (168, N) weighted incidents, the table that remembers longest.
        """
        features = self.hours.features()
        share = np.asarray(counts.sum(axis=1)) / max(counts.sum(), 1.0)
        centred = features - share @ features
        lattice = Lattice.of_cells(cells, self.hours.spread, context.device)
        within = (centred * share[:, None]).T @ centred
        variance, direction = field_variances(
            np.asarray(counts.sum(axis=0)), within, lattice, context
        )
        return Band((centred @ direction) ** 2, self.strength**2 * variance)


def _joint(
    features: FloatArray, weights: FloatArray, log_share: FloatArray, base: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return each window's share of all incidents (168,), and each cell's log normaliser (N,)."""
    raw = HourTable(features, weights, np.zeros(len(base)), log_share)
    own, log_sum = np.zeros(N_WINDOWS), np.empty(len(base))
    for part in blocks(len(base)):
        values = raw.block(part)
        sums = values.sum(axis=0)
        own += values @ (base[part] / sums)
        log_sum[part] = np.log(sums)
    return own, log_sum


class HourFirstFlow(CellFlow):
    """The flow of each window in the order x, y or y, x: where, given the hour.

    Args:
        first: the coordinate that comes first.
        first_spread: factor of the prior's standard deviations for the first coordinate.

    Attributes:
        weights_: of the conditioner, (R, G) for the log slopes of the first coordinate, one for each
            column of cells, and (R, N) for those of the second, one for each cell.
        table_: the probabilities.
    """

    weights_: tuple[FloatArray, FloatArray]
    table_: FloatArray

    @property
    def probability_(self) -> FloatArray:
        """The probabilities."""
        return self.table_

    def __init__(
        self,
        first: First = "x",
        hours: HourSettings = HOURS,
        strength: float = 1.0,
        tilt: TiltSettings | None = None,
        first_spread: float = FIRST_SPREAD,
    ) -> None:
        super().__init__(hours, strength, tilt)
        self.first = first
        self.first_spread = first_spread

    def fit(
        self, counts: Sequence[Counts], base: FloatArray, cells: Cells, context: FitContext
    ) -> Self:
        """See `CellFlow.fit`."""
        device, size_m, spread = context.device, cells.cell_size_m, self.hours.spread
        one, _ = coordinates(cells, self.first)
        column, line = np.unique(one, return_inverse=True)
        lines = OverLines(torch.as_tensor(line, device=device))
        narrow = {m: sd * self.first_spread for m, sd in spread.items()}
        along = Lattice.of_places((column - column[0])[None, :], size_m, narrow, device)
        log_base = tensor(np.log(base), device)
        log_column = lines.sums(log_base.exp()[None, :])[0].log()
        log_inner = log_base - log_column[lines.line]
        columns = [lines.line_totals(table) for table in counts]
        first = self._weights(columns, log_column, along, None, context.part(0, 0.1))
        inner = Lattice.of_cells(cells, spread, device)
        second = self._weights(counts, log_inner, inner, lines, context.part(0.1, 1))
        features = tensor(self.hours.features(), device)
        p_first = torch.softmax(torch.addmm(log_column, features, first), dim=1)
        p_second = lines.softmax(torch.addmm(log_inner, features, second))
        probability = (p_first[:, lines.line] * p_second).double().cpu().numpy()
        self.table_ = probability / probability.sum(axis=1, keepdims=True)
        self.weights_ = first.double().cpu().numpy(), second.double().cpu().numpy()
        return self

    def _weights(
        self,
        tables: Sequence[Counts],
        log_base: Tensor,
        lattice: Lattice,
        over: OverLines | None,
        context: FitContext,
    ) -> Tensor:
        """Return the mean weights (R, B) of one fit to each table of counts (168, B)."""
        features = tensor(with_nuisance(self.hours.features()), context.device)
        total = torch.zeros(features.shape[1], len(log_base), device=context.device)
        for i, table in enumerate(tables):
            part = context.part(i / len(tables), (i + 1) / len(tables))
            total += fit_tilt(table, log_base, features, lattice, part, self.tilt, over).T
        return total[:-1] * (self.strength / len(tables))
