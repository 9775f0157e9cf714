"""Elementwise monotone maps of one coordinate: affine, rational-quadratic spline, mixture.

Every transform maps data to base space. `forward(u, raw)` returns (z, log |dz/du|) and
`inverse(z, raw)` returns u; `u` and `z` have shape (...,), `raw` has shape (..., n_params), with a 1
where values share parameters, and holds unconstrained network outputs. With `raw` all zero, all maps
except the mixture are the identity.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn import functional

LOG_SCALE_BOUND = math.log(1000.0)
MIN_BIN = 1e-3
MIN_SLOPE = 1e-3
CDF_EPS = 1e-6
BISECTION_STEPS = 60
_LOG_2PI = math.log(2 * math.pi)


class Transform(ABC):
    """A family of monotone maps with `n_params` parameters per coordinate."""

    n_params: int

    @abstractmethod
    def forward(self, u: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return base coordinates and the log-derivative, both of the shape of `u`."""

    @abstractmethod
    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        """Return the data coordinates `u` whose `forward` is `z`."""

    def initial(self) -> Tensor:
        """Return the initial bias of the last layer (n_params,)."""
        return torch.zeros(self.n_params)


class Affine(Transform):
    """z = u exp(s) + t with s bounded smoothly by log 1000 (MAF, Papamakarios et al. 2017)."""

    n_params = 2

    @staticmethod
    def _scale(raw: Tensor) -> Tensor:
        a = raw[..., 0]
        return a / (1 + (a / LOG_SCALE_BOUND).abs())

    def forward(self, u: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """See `Transform.forward`."""
        scale = self._scale(raw)
        return u * scale.exp() + raw[..., 1], scale.expand_as(u)

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        """See `Transform.inverse`."""
        return (z - raw[..., 1]) * (-self._scale(raw)).exp()


class Spline(Transform):
    """Rational-quadratic spline on [-bound, bound], the identity outside (Durkan et al. 2019).

    Args:
        n_bins: number of bins.
        bound: half-width of the interval.
    """

    def __init__(self, n_bins: int = 16, bound: float = 4.0) -> None:
        self.n_bins = n_bins
        self.bound = bound
        self.n_params = 3 * n_bins - 1

    def _edges(self, raw: Tensor) -> Tensor:
        """Return knot positions (2, ..., n_bins + 1) in u and in z."""
        n = self.n_bins
        shares = functional.softmax(torch.stack([raw[..., :n], raw[..., n : 2 * n]]), dim=-1)
        shares = MIN_BIN + (1 - MIN_BIN * n) * shares
        return functional.pad(shares.cumsum(-1), (1, 0)) * (2 * self.bound) - self.bound

    def _pieces(self, raw: Tensor, value: Tensor, *, inverse: bool) -> tuple[Tensor, ...]:
        """Return left, low, width, height, mean slope and end slopes of the bin of each value.

        Only the knots are computed for all bins.
        """
        edges = self._edges(raw)
        edges = edges.expand(2, *value.shape, edges.shape[-1])
        inner = edges[int(inverse)][..., 1:-1].contiguous()
        place = torch.searchsorted(inner, value.unsqueeze(-1))
        ends = torch.cat([place, place + 1], dim=-1)
        (left, right), (low, high) = (
            axis.unbind(-1) for axis in edges.gather(-1, ends.expand(2, *ends.shape))
        )
        raw_slopes = functional.pad(raw[..., 2 * self.n_bins :], (1, 1))
        raw_slopes = raw_slopes.expand(*value.shape, -1).gather(-1, ends)
        # The shift makes the slope one where `raw` is zero, as at both ends of the interval.
        shift = math.log(math.expm1(1 - MIN_SLOPE))
        d0, d1 = (MIN_SLOPE + functional.softplus(raw_slopes + shift)).unbind(-1)
        width, height = right - left, high - low
        return left, low, width, height, height / width, d0, d1

    def forward(self, u: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """See `Transform.forward`."""
        inside = u.abs() < self.bound
        clipped = u.clamp(-self.bound, self.bound)
        left, low, width, height, slope, d0, d1 = self._pieces(raw, clipped, inverse=False)
        t = ((clipped - left) / width).clamp(0, 1)
        cross = t * (1 - t)
        bottom = slope + (d0 + d1 - 2 * slope) * cross
        z = low + height * (slope * t.square() + d0 * cross) / bottom
        top = slope.square() * (d1 * t.square() + 2 * slope * cross + d0 * (1 - t).square())
        log_slope = top.log() - 2 * bottom.log()
        return torch.where(inside, z, u), torch.where(inside, log_slope, torch.zeros_like(u))

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        """See `Transform.inverse`."""
        inside = z.abs() < self.bound
        clipped = z.clamp(-self.bound, self.bound)
        left, low, width, height, slope, d0, d1 = self._pieces(raw, clipped, inverse=True)
        y = clipped - low
        bend = d0 + d1 - 2 * slope
        a = height * (slope - d0) + y * bend
        b = height * d0 - y * bend
        c = -slope * y
        root = (b.square() - 4 * a * c).clamp(min=0).sqrt()
        t = (2 * c / (-b - root)).clamp(0, 1)
        return torch.where(inside, left + t * width, z)


class Mixture(Transform):
    """z = quantile of N(0, 1) at the CDF of a Gaussian mixture (MADE-MoG, Germain et al. 2015).

    As the last map before a standard normal base, it makes the conditional density that mixture.
    """

    def __init__(self, n_components: int = 16, spread: float = 2.0) -> None:
        self.n_components = n_components
        self.spread = spread
        self.n_params = 3 * n_components

    def initial(self) -> Tensor:
        """Return components spread evenly over [-spread, spread]."""
        n = self.n_components
        scale = math.log(2 * self.spread / n)
        return torch.cat(
            [
                torch.zeros(n),
                torch.linspace(-self.spread, self.spread, n),
                torch.full((n,), scale),
            ]
        )

    def _log_sd(self, raw: Tensor) -> Tensor:
        a = raw[..., 2 * self.n_components :]
        return a / (1 + (a / LOG_SCALE_BOUND).abs())

    def _parts(self, u: Tensor, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n = self.n_components
        log_weight = functional.log_softmax(raw[..., :n], dim=-1)
        log_sd = self._log_sd(raw)
        return log_weight, (u.unsqueeze(-1) - raw[..., n : 2 * n]) * (-log_sd).exp(), log_sd

    def _cdf(self, u: Tensor, raw: Tensor) -> Tensor:
        log_weight, standard, _ = self._parts(u, raw)
        share: Tensor = (log_weight.exp() * torch.special.ndtr(standard)).sum(-1)
        return share

    def forward(self, u: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """See `Transform.forward`."""
        log_weight, standard, log_sd = self._parts(u, raw)
        log_density = torch.logsumexp(
            log_weight - 0.5 * standard.square() - log_sd - 0.5 * _LOG_2PI, dim=-1
        )
        share = (log_weight.exp() * torch.special.ndtr(standard)).sum(-1)
        z = torch.special.ndtri(share.clamp(CDF_EPS, 1 - CDF_EPS))
        return z, log_density + 0.5 * z.square() + 0.5 * _LOG_2PI

    def inverse(self, z: Tensor, raw: Tensor) -> Tensor:
        """Invert by bisection, because the CDF has no closed inverse."""
        share = torch.special.ndtr(z)
        n = self.n_components
        mean = raw[..., n : 2 * n]
        reach = 8 * self._log_sd(raw).exp().amax(-1)
        low, high = mean.amin(-1) - reach, mean.amax(-1) + reach
        for _ in range(BISECTION_STEPS):
            middle = (low + high) / 2
            above = self._cdf(middle, raw) > share
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2
