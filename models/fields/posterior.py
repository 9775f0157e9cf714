"""Posterior variances of tilts: the Laplace approximation, Kronecker-factored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from models.base import FitContext
from models.fields.lattice import Lattice, sparse
from models.fields.tilt import tensor
from models.units import FloatArray

N_DRAWS = 8
"""Of each feature's field. The variance of a log density sums over some twenty features, so that its
error from the draws is about a tenth."""
_NUMBERS_AT_ONCE = 4_000_000
"""Of one right-hand side: more draws at once are faster, and take seven times as much memory."""
N_ITERATIONS = 40
"""Of conjugate gradients; leaves less than 1e-4 of the residual in cities of 200,000 incidents."""


def field_variances(
    counts: FloatArray, covariance: FloatArray, lattice: Lattice, context: FitContext
) -> tuple[FloatArray, FloatArray]:
    """Estimate the posterior variances of the fields of a tilt at its optimum.

    The curvature of the penalised likelihood is 1 + covariance x (lattice' diag(counts) lattice), a
    Kronecker product (Ritter et al. 2018, "A scalable Laplace approximation"): in the eigenvectors of
    `covariance` the fields are independent, each with a precision of its own over the knots. Exact
    draws from these Gaussians solve perturbed systems (Papandreou & Yuille 2010, "Gaussian sampling
    by local perturbations"), here by conjugate gradients, those of all features at once.

    Args:
        counts: (N,) expected weighted incidents at each cell.
        covariance: (R, R) of the features within the distribution that the tilt changes.
        lattice: prior of each feature's field.

    Returns:
        Variances (R, N), and the orthonormal directions (R, R), one a column, that they belong to:
        the log density's variance in row w is `(features[w] @ directions) ** 2 @ variances`.
    """
    value, direction = np.linalg.eigh(covariance)
    n_features = len(value)
    weight = tensor(counts[:, None], context.device)
    # Once, so that the steps of the solver work on the knots alone: with small cells, a fifth of the cells.
    information = lattice.information(counts)
    curvature = sparse(information, context.device)
    own_curvature = tensor(information.diagonal()[:, None], context.device)
    own_scale = tensor(np.maximum(value, 0.0), context.device)
    generator = torch.Generator().manual_seed(0)
    squares = torch.zeros(len(counts), n_features, device=context.device)
    at_once = max(1, _NUMBERS_AT_ONCE // (lattice.n_knots * n_features))
    for start in range(0, N_DRAWS, at_once):
        context.report(start / N_DRAWS, f"posterior draw {start + 1}")
        n_draws = min(at_once, N_DRAWS - start)
        scale = own_scale.repeat(n_draws)

        def precision(knots: Tensor, scale: Tensor = scale) -> Tensor:
            return knots + (curvature @ knots) * scale

        noise = [
            torch.randn(n_rows, len(scale), generator=generator).to(context.device)
            for n_rows in (len(counts), lattice.n_knots)
        ]
        target = lattice.to_knots(weight.sqrt() * noise[0]) * scale.sqrt() + noise[1]
        fields = lattice.to_cells(_solve(precision, target, 1 + own_curvature * scale))
        squares += fields.square_().reshape(len(counts), n_draws, n_features).sum(1)
    return (squares / N_DRAWS).T.double().cpu().numpy(), np.asarray(direction, np.float64)


def _solve(matrix: Callable[[Tensor], Tensor], target: Tensor, diagonal: Tensor) -> Tensor:
    """Solve `matrix(x) = target` for each column by preconditioned conjugate gradients.

    A fixed number of steps, so that a device need not wait for the host; a column that has converged
    stands still.
    """
    tiny = torch.finfo(target.dtype).tiny
    solution = torch.zeros_like(target)
    rest = target.clone()
    scaled = rest / diagonal
    direction = scaled.clone()
    size = (rest * scaled).sum(0)
    for _ in range(N_ITERATIONS):
        image = matrix(direction)
        length = size / (direction * image).sum(0).clamp(min=tiny)
        solution.addcmul_(direction, length)
        rest.addcmul_(image, length, value=-1)
        scaled = rest / diagonal
        new = (rest * scaled).sum(0)
        direction = scaled.addcmul_(direction, new / size.clamp(min=tiny))
        size = new
    return solution
