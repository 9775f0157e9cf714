"""Exponential tilts of a density: log ratios that are Gaussian fields, fitted to counts on cells.

Row w of a table of counts is a multinomial draw from `base * exp(features[w] @ fields)`, normalised
over the study area: a log-Gaussian Cox process (Moller et al. 1998) given its totals, with a
covariance that is a product of one over rows and one over places. The penalised fit is convex, so it
cannot diverge and needs no early stopping; its cost does not grow with the number of incidents.

Normalised otherwise (`OverLines`, `OverRows`), the same tilts are the conditional distributions of an
autoregressive flow on the cells (`models.flows.cell_flow`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_array, issparse
from torch import Tensor

from models.base import FitContext
from models.fields.lattice import Lattice
from models.units import FloatArray, IntArray

_ADAM_DECAYS = (0.9, 0.99)
_ADAM_FLOOR = 1e-3
_REPORT_EVERY = 10
CELLS_AT_ONCE = 2048
"""Of a table: a block of 168 hours takes 1.4 MB."""
Counts = FloatArray | csr_array
"""(W, N) weighted incidents; sparse where most are zero."""


@dataclass(frozen=True)
class TiltSettings:
    """Settings of the optimiser.

    Args:
        n_steps: full-batch steps of Adam on a cosine schedule; 80 reach the optimum to 1e-4 nats.
        learning_rate: initial rate, in prior standard deviations.
    """

    n_steps: int = 80
    learning_rate: float = 0.15


class Normaliser(Protocol):
    """What the probabilities of a table (W, N) sum to one over."""

    def totals(self, counts: Counts) -> FloatArray:
        """Return the sums of counts (W, N) that the probabilities share out, to broadcast to (W, N)."""
        ...

    def rows(self, total: FloatArray) -> IntArray | None:
        """Return the cells whose counts the probabilities depend on, given their totals; None: all."""
        ...

    def pull(self, logits: Logits, total: Tensor) -> Tensor:
        """Return the sums (N, R) over the rows of expected counts times features."""
        ...


class Logits:
    """Log probabilities (W, N) before they are normalised, computed for a block of cells at a time.

    Neither the logits nor the fields are shifted before an exponential: they are log probabilities of a
    base, at most 0, plus fields that the steps of a fit keep to a few units.

    Args:
        log_base: (N,), or (W, 1).
        features: (W, R).
        n_cells: N.

    Attributes:
        fields: (N, R), to be set before use.
        space: room (N, W).
    """

    fields: Tensor

    def __init__(self, log_base: Tensor, features: Tensor, n_cells: int) -> None:
        self.features = features
        self.n_cells = n_cells
        self._log_base = log_base[:, None] if log_base.ndim == 1 else log_base.T
        # Of a table, the same at every step; its memory is taken when it is written to.
        self.space = features.new_empty(n_cells, len(features))

    def blocks(self) -> Iterator[slice]:
        """Yield the blocks, which fit the caches of a core."""
        size = self.n_cells if self.features.is_cuda else CELLS_AT_ONCE
        return (slice(low, low + size) for low in range(0, self.n_cells, size))

    def exp(self, part: slice, out: Tensor | None = None) -> Tensor:
        """Return the exponentials (B, W) of the logits of some cells."""
        base = self._log_base[part] if len(self._log_base) > 1 else self._log_base
        return torch.addmm(base, self.fields[part], self.features.T, out=out).exp_()


class OverCells:
    """Each row sums to one: where, given the row."""

    def totals(self, counts: Counts) -> FloatArray:
        """See `Normaliser.totals`."""
        return np.asarray(counts.sum(axis=1), np.float64)[:, None]

    def rows(self, total: FloatArray) -> IntArray | None:
        """See `Normaliser.rows`."""
        return None

    def pull(self, logits: Logits, total: Tensor) -> Tensor:
        """See `Normaliser.pull`; what is known after the last block is divided by in the features."""
        sums = torch.zeros_like(total[:, 0])
        for part in logits.blocks():
            sums += logits.exp(part, logits.space[part]).sum(0)
        return logits.space @ (logits.features * (total / sums[:, None]))


class OverRows:
    """Each column sums to one: which row, given the cell."""

    def totals(self, counts: Counts) -> FloatArray:
        """See `Normaliser.totals`."""
        return np.asarray(counts.sum(axis=0), np.float64)[None, :]

    def rows(self, total: FloatArray) -> IntArray | None:
        """See `Normaliser.rows`: a cell without counts says nothing of the rows."""
        return np.flatnonzero(total[0])

    def pull(self, logits: Logits, total: Tensor) -> Tensor:
        """See `Normaliser.pull`."""
        result = torch.empty_like(logits.fields)
        for part in logits.blocks():
            weights = logits.exp(part)
            scale = total[0, part] / weights.sum(1)
            result[part] = (weights @ logits.features) * scale[:, None]
        return result


class OverLines:
    """Each line of cells of each row sums to one: where in the line, given the row and the line.

    Args:
        line: (N,) int64, line of each cell, 0..G-1, all in use.
    """

    def __init__(self, line: Tensor) -> None:
        self.line = line
        self.n_lines = int(line.max()) + 1

    def sums(self, values: Tensor) -> Tensor:
        """Return sums (W, G) over the lines of values (W, N)."""
        return values.new_zeros(len(values), self.n_lines).index_add_(1, self.line, values)

    def softmax(self, logits: Tensor) -> Tensor:
        """Return probabilities (W, N) of logits (W, N), which are overwritten."""
        weights = logits.exp_()
        return weights.div_(self.sums(weights)[:, self.line])

    def totals(self, counts: Counts) -> FloatArray:
        """See `Normaliser.totals`."""
        return self.line_totals(counts)[:, self.line.cpu().numpy()]

    def line_totals(self, counts: Counts) -> FloatArray:
        """Return the counts (W, G) of the lines."""
        line = self.line.cpu().numpy()
        member = csr_array((np.ones(len(line)), (np.arange(len(line)), line)))
        sums = counts @ member
        return np.asarray(sums.toarray() if issparse(sums) else sums, np.float64)

    def rows(self, total: FloatArray) -> IntArray | None:
        """See `Normaliser.rows`."""
        return None

    def pull(self, logits: Logits, total: Tensor) -> Tensor:
        """See `Normaliser.pull`."""
        weights = logits.exp(slice(None)).T
        return weights.div_(self.sums(weights)[:, self.line]).mul_(total).T @ logits.features


def fit_tilt(
    counts: Counts,
    log_base: Tensor,
    features: Tensor,
    lattice: Lattice,
    context: FitContext,
    settings: TiltSettings | None = None,
    over: Normaliser | None = None,
) -> Tensor:
    """Fit the fields (N, R) of maximum posterior density.

    Args:
        counts: (W, N) weighted incidents.
        log_base: (N,) or (W, 1) float32, log probability before the tilt.
        features: (W, R) float32.
        lattice: prior of each feature's field.
        over: what the probabilities sum to one over; None: `OverCells`.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    settings, over = settings or TiltSettings(), over or OverCells()
    total, device, inner = over.totals(counts), features.device, lattice
    found = tensor(counts.T @ features.double().cpu().numpy(), device)
    rows = over.rows(total)
    if rows is not None and len(rows) < counts.shape[1]:
        if len(rows) == 0:
            return torch.zeros_like(found)
        there = torch.as_tensor(rows, device=device)
        inner, found, total = lattice.at(rows), found[there], total[:, rows]
        log_base = log_base[there] if log_base.ndim == 1 else log_base
    totals = tensor(total, device)
    logits = Logits(log_base, features, len(found))
    coefficients = torch.zeros(lattice.n_knots, features.shape[1], device=device)
    mean, square = torch.zeros_like(coefficients), torch.zeros_like(coefficients)
    first, second = _ADAM_DECAYS
    for step in range(settings.n_steps):
        if step % _REPORT_EVERY == 0:
            context.report(step / settings.n_steps, f"tilt step {step}")
        logits.fields = inner.to_cells(coefficients)
        gradient = inner.to_knots(over.pull(logits, totals).sub_(found)) + coefficients
        mean.lerp_(gradient, 1 - first)
        square.lerp_(gradient.square(), 1 - second)
        rate = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.n_steps))
        scale = (square / (1 - second ** (step + 1))).sqrt_().add_(_ADAM_FLOOR)
        coefficients.addcdiv_(mean, scale, value=-rate / (1 - first ** (step + 1)))
    return lattice.to_cells(coefficients)


def tensor(values: FloatArray, device: torch.device | str) -> Tensor:
    """Copy an array to a device, in 32 bits."""
    return torch.as_tensor(values.astype(np.float32), device=device)
