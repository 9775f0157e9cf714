"""Gaussian mixtures, one per hour of the week, fitted in batches by EM."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from models.base import Cells, DensityModel, FitContext, normalised
from models.densities.small_sample import FULL_STRENGTH, shrink_to_uniform
from models.densities.smoothing import inside
from models.estimator import ConvergenceWarning
from models.incidents import Incidents
from models.units import N_WINDOWS, FloatArray

INCIDENTS_PER_COMPONENT = 25
_WINDOWS_PER_BATCH = 12
_WINDOW_FLOOR = 10


class Gmm(DensityModel):
    """Full-covariance Gaussian mixtures per window (the study's second baseline).

    Windows are padded to the largest of their batch, so that one EM step is a few batched tensor
    operations. The density of a cell is that at its centre with components widened by the variance of
    a cell, which equals the cell's average up to fourth moments.

    Args:
        max_components: upper limit per window; there is one per `INCIDENTS_PER_COMPONENT` incidents.
        min_sd_m: minimum spread of a component, which prevents collapse on repeated geocodes.
        max_iterations: maximum number of EM steps.
        tolerance: nats per incident; EM stops when no window gains as much in a step.
        max_points: maximum number of incidents per window; the latest are used.
    """

    name: ClassVar[str] = "gmm"

    def __init__(
        self,
        max_components: int = 40,
        min_sd_m: float = 80.0,
        max_iterations: int = 100,
        tolerance: float = 1e-3,
        max_points: int = 4000,
    ) -> None:
        self.max_components = max_components
        self.min_sd_m = min_sd_m
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.max_points = max_points

    def fit(self, incidents: Incidents, cells: Cells, context: FitContext) -> Self:
        """Fit all windows; those with fewer than 10 incidents get the fit of all incidents.

        Small samples get one component and are shrunk (`models.densities.small_sample`).

        Warns:
            ConvergenceWarning: EM was still improving some windows at its last step.
        """
        known, _ = inside(incidents, cells, context.cutoff_s)
        self.area_km2_ = cells.area_km2
        self.category_density_ = {}
        places = np.column_stack(
            [
                (known.x_m.astype(np.float64) - cells.x0_m) / 1000.0,
                (known.y_m.astype(np.float64) - cells.y0_m) / 1000.0,
            ]
        )
        by_window = [places[known.window == w][-self.max_points :] for w in range(N_WINDOWS)]
        self.fallback_windows_ = [w for w, own in enumerate(by_window) if len(own) < _WINDOW_FLOOR]
        is_small = len(places) < FULL_STRENGTH
        self.max_components_ = 1 if is_small else self.max_components
        table = np.zeros((N_WINDOWS, len(cells.area_km2)))
        self.unconverged_windows_: list[int] = []
        if len(places):
            self._fit_chunks(by_window, table, cells, context)
            self._fill_fallbacks(places[-self.max_points :], table, cells, context)
        if self.unconverged_windows_:
            warnings.warn(
                f"EM did not converge in {self.max_iterations} steps in "
                f"{len(self.unconverged_windows_)} windows; raise max_iterations or tolerance",
                ConvergenceWarning,
                stacklevel=2,
            )
        inside_share = table.sum(axis=1)
        self.leaked_share_ = float(np.clip(1.0 - inside_share.mean(), 0.0, 1.0))
        fitted = normalised(table, self.area_km2_)
        if is_small:
            fitted = shrink_to_uniform(fitted, len(places), self.area_km2_)
        self.probability_ = fitted
        return self

    def _fit_chunks(
        self, by_window: list[FloatArray], table: FloatArray, cells: Cells, context: FitContext
    ) -> None:
        """Fill the rows of the table, batching windows of similar size."""
        generator = torch.Generator().manual_seed(context.seed)
        order = np.argsort([len(own) for own in by_window], kind="stable")
        order = order[len(self.fallback_windows_) :]
        for start in range(0, len(order), _WINDOWS_PER_BATCH):
            context.report(start / len(order), f"windows {start}..{start + _WINDOWS_PER_BATCH}")
            chunk = order[start : start + _WINDOWS_PER_BATCH]
            mixture, converged = _fit_batch([by_window[w] for w in chunk], self, generator)
            table[chunk] = _on_cells(*mixture, cells)
            self.unconverged_windows_ += chunk[~converged].tolist()

    def _fill_fallbacks(
        self, places: FloatArray, table: FloatArray, cells: Cells, context: FitContext
    ) -> None:
        """Fill the rows of windows with few incidents with the fit of all incidents."""
        if not self.fallback_windows_:
            return
        generator = torch.Generator().manual_seed(context.seed)
        mixture, converged = _fit_batch([places], self, generator)
        table[self.fallback_windows_] = _on_cells(*mixture, cells)
        if not converged[0]:
            self.unconverged_windows_ += self.fallback_windows_

    def report(self) -> Mapping[str, Any]:
        """Return windows that use the fit of all incidents or did not converge, and leaked mass."""
        return {
            "fallback_windows": self.fallback_windows_,
            "unconverged_windows": self.unconverged_windows_,
            "leaked_share": self.leaked_share_,
        }


Mixture = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Weights (B, K), means (B, K, 2) and covariances (B, K, 2, 2) in km of B mixtures."""


def _fit_batch(
    groups: list[FloatArray], settings: Gmm, generator: torch.Generator
) -> tuple[Mixture, NDArray[np.bool_]]:
    """Fit a mixture to each of B groups of places (n, 2); also return whether each converged."""
    longest = max(len(own) for own in groups)
    wanted = [
        int(np.clip(len(own) // INCIDENTS_PER_COMPONENT, 1, settings.max_components_))
        for own in groups
    ]
    points = torch.zeros(len(groups), longest, 2)
    mask = torch.zeros(len(groups), longest)
    for i, own in enumerate(groups):
        points[i, : len(own)] = torch.as_tensor(own, dtype=torch.float32)
        mask[i, : len(own)] = 1.0
    n_components = max(wanted)
    weight = (torch.arange(n_components) < torch.tensor(wanted)[:, None]).float()
    weight = weight / weight.sum(dim=1, keepdim=True)
    chosen = torch.multinomial(mask, n_components, replacement=True, generator=generator)
    mean = torch.gather(points, 1, chosen[..., None].expand(-1, -1, 2))
    size = mask.sum(dim=1)[:, None]
    centre = points.sum(dim=1) / size
    spread = ((points - centre[:, None]) ** 2 * mask[..., None]).sum(dim=(1, 2)) / size[:, 0] / 2
    start = spread / torch.tensor(wanted) + (settings.min_sd_m / 1000.0) ** 2
    covariance = start[:, None, None, None] * torch.eye(2).expand(len(groups), n_components, 2, 2)
    floor = (settings.min_sd_m / 1000.0) ** 2 * torch.eye(2)
    score = torch.full((len(groups),), -torch.inf)
    converged = torch.zeros(len(groups), dtype=torch.bool)
    for _ in range(settings.max_iterations):
        joint = torch.log(weight)[:, None, :] + _log_normal(points, mean, covariance)
        evidence = torch.logsumexp(joint, dim=2, keepdim=True)
        before, score = score, (evidence[..., 0] * mask).sum(dim=1) / size[:, 0]
        converged = score - before < settings.tolerance
        if bool(converged.all()):
            break
        share = torch.exp(joint - evidence) * mask[..., None]
        weight, mean, covariance = _maximise(points, share, floor)
    return (weight, mean, covariance), converged.numpy()


def _maximise(points: torch.Tensor, share: torch.Tensor, floor: torch.Tensor) -> Mixture:
    """Do one M step from responsibilities (B, P, K); components without points get weight zero."""
    mass = share.sum(dim=1)
    safe = mass.clamp_min(1e-6)
    transposed = share.transpose(1, 2)
    mean = transposed @ points / safe[..., None]
    outer = (points[..., :, None] * points[..., None, :]).flatten(2)
    second = (transposed @ outer).reshape(*safe.shape, 2, 2) / safe[..., None, None]
    covariance = second - mean[..., :, None] * mean[..., None, :]
    # One pseudo-incident at the floor keeps single-point components from collapsing.
    covariance = (covariance * mass[..., None, None] + floor) / (mass + 1)[..., None, None] + floor
    return mass / mass.sum(dim=1, keepdim=True), mean, covariance


def _log_normal(points: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Return log densities (B, P, K) of points (B, P, 2), by the closed form of the 2 x 2 inverse."""
    a, b, c = covariance[..., 0, 0], covariance[..., 0, 1], covariance[..., 1, 1]
    determinant = (a * c - b * b).clamp_min(1e-12)
    dx = points[:, :, None, 0] - mean[:, None, :, 0]
    dy = points[:, :, None, 1] - mean[:, None, :, 1]
    a, b, c = a[:, None], b[:, None], c[:, None]
    quadratic = (c * dx * dx - 2 * b * dx * dy + a * dy * dy) / determinant[:, None]
    return -0.5 * (quadratic + torch.log(determinant)[:, None]) - float(np.log(2 * np.pi))


def _on_cells(
    weight: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor, cells: Cells
) -> FloatArray:
    """Return the mass of each mixture in each cell (B, N)."""
    size_km = cells.cell_size_m / 1000.0
    centre = np.column_stack([cells.ix + 0.5, cells.iy + 0.5]) * size_km
    points = torch.as_tensor(centre, dtype=torch.float32).expand(len(weight), -1, -1)
    widened = covariance + size_km**2 / 12.0 * torch.eye(2)
    density = torch.exp(_log_normal(points, mean, widened)) @ weight[..., None]
    result: FloatArray = density[..., 0].double().numpy() * cells.area_km2
    return result
