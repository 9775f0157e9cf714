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
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.base import FitContext
from models.fields.lattice import Lattice
from models.units import FloatArray

_ADAM_DECAYS = (0.9, 0.99)
_ADAM_FLOOR = 1e-3
_REPORT_EVERY = 10


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

    def softmax(self, logits: Tensor) -> Tensor:
        """Return probabilities (W, N) of logits (W, N), which may be overwritten."""
        ...

    def totals(self, counts: Tensor) -> Tensor:
        """Return the sums of counts (W, N) that the probabilities share out, to broadcast to (W, N)."""
        ...


class OverCells:
    """Each row sums to one: where, given the row."""

    def softmax(self, logits: Tensor) -> Tensor:
        """See `Normaliser.softmax`."""
        return torch.softmax(logits, dim=1)

    def totals(self, counts: Tensor) -> Tensor:
        """See `Normaliser.totals`."""
        return counts.sum(1, keepdim=True)


class OverRows:
    """Each column sums to one: which row, given the cell."""

    def softmax(self, logits: Tensor) -> Tensor:
        """See `Normaliser.softmax`."""
        return torch.softmax(logits, dim=0)

    def totals(self, counts: Tensor) -> Tensor:
        """See `Normaliser.totals`."""
        return counts.sum(0, keepdim=True)


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
        """See `Normaliser.softmax`.

        Nothing is subtracted before the exponential: the logits are log probabilities of the base
        within a line, at most 0, plus fields of a few units.
        """
        weights = logits.exp_()
        return weights.div_(self.sums(weights)[:, self.line])

    def totals(self, counts: Tensor) -> Tensor:
        """See `Normaliser.totals`."""
        return self.sums(counts)[:, self.line]


def fit_tilt(
    counts: Tensor,
    log_base: Tensor,
    features: Tensor,
    lattice: Lattice,
    context: FitContext,
    settings: TiltSettings | None = None,
    over: Normaliser | None = None,
) -> Tensor:
    """Fit the fields (N, R) of maximum posterior density.

    Args:
        counts: (W, N) float32, weighted incidents.
        log_base: (N,), (W, 1) or (W, N) float32, log probability before the tilt.
        features: (W, R) float32.
        lattice: prior of each feature's field.
        over: what the probabilities sum to one over; None: `OverCells`.

    Raises:
        FitCancelled: the caller asked to stop.
    """
    settings, over = settings or TiltSettings(), over or OverCells()
    total = over.totals(counts)
    coefficients = torch.zeros(lattice.n_knots, features.shape[1], device=counts.device)
    mean, square = torch.zeros_like(coefficients), torch.zeros_like(coefficients)
    first, second = _ADAM_DECAYS
    for step in range(settings.n_steps):
        if step % _REPORT_EVERY == 0:
            context.report(step / settings.n_steps, f"tilt step {step}")
        fields = lattice.to_cells(coefficients)
        expected = over.softmax(torch.addmm(log_base, features, fields.T))
        excess = expected.mul_(total).sub_(counts)
        gradient = lattice.to_knots(excess.T @ features) + coefficients
        mean.lerp_(gradient, 1 - first)
        square.lerp_(gradient.square(), 1 - second)
        rate = settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.n_steps))
        scale = (square / (1 - second ** (step + 1))).sqrt_().add_(_ADAM_FLOOR)
        coefficients.addcdiv_(mean, scale, value=-rate / (1 - first ** (step + 1)))
    return lattice.to_cells(coefficients)


def tensor(values: FloatArray, device: torch.device | str) -> Tensor:
    """Copy an array to a device, in 32 bits."""
    return torch.as_tensor(values.astype(np.float32), device=device)
