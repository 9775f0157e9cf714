"""Masked autoregressive flows (Papamakarios et al. 2017), many members as one tensor program."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.flows.networks import Conditioner, MaskedConditioner, PairConditioner
from models.flows.randomness import InitialDraws
from models.flows.transforms import Affine, Mixture, Spline, Transform

BATCHNORM_EPS = 1e-5
_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class FlowSettings:
    """Architecture of a member.

    Args:
        n_dims: number of dimensions, D >= 2.
        conditional: map of each coordinate in a block.
        n_blocks: autoregressive blocks; the order of the variables alternates.
        hidden: widths of each network's hidden layers.
        normalisation: kind of normalisation between blocks.
        n_bins, bound: settings of spline conditionals.
        n_components: settings of mixture conditionals.
        masked: use the masked path even for D = 2 (None: only when D > 2).
    """

    n_dims: int = 2
    conditional: Literal["affine", "mixture", "spline"] = "affine"
    n_blocks: int = 5
    hidden: tuple[int, ...] = (64, 64)
    normalisation: Literal["none", "batchnorm"] = "none"
    n_bins: int = 16
    bound: float = 4.0
    n_components: int = 16
    masked: bool | None = None

    def transform(self) -> Transform:
        """Create the map of one block."""
        if self.conditional == "affine":
            return Affine()
        if self.conditional == "spline":
            return Spline(self.n_bins, self.bound)
        return Mixture(self.n_components)

    def conditioner(self, draws: InitialDraws, n_params: int) -> Conditioner:
        """Create the network of one block."""
        if self.masked or self.n_dims > 2:
            return MaskedConditioner(draws, self.n_dims, self.hidden, n_params)
        return PairConditioner(draws, self.hidden, n_params)


class Block(nn.Module):
    """One autoregressive map; `order` (M, D) is each member's order of the variables."""

    order: Tensor
    back: Tensor

    def __init__(self, draws: InitialDraws, settings: FlowSettings, order: Tensor) -> None:
        super().__init__()
        self.transform = settings.transform()
        self.conditioner = settings.conditioner(draws, self.transform.n_params)
        self.conditioner.set_output_bias(self.transform.initial().to(order.device))
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort(dim=1))

    @staticmethod
    def _arranged(x: Tensor, order: Tensor) -> Tensor:
        return x.gather(2, order[:, None, :].expand_as(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map points (M, B, D) to z of that shape and log-determinants (M, B)."""
        u = self._arranged(x, self.order)
        parameters = self.conditioner(u)
        mapped, place = [], 0
        for raw in parameters:
            mapped.append(self.transform.forward(u[:, :, place : place + raw.shape[2]], raw))
            place += raw.shape[2]
        z = torch.cat([z for z, _ in mapped], dim=2)
        log_slope = torch.cat([log_slope for _, log_slope in mapped], dim=2)
        return self._arranged(z, self.back), log_slope.sum(-1)

    def inverse(self, z: Tensor) -> Tensor:
        """Invert coordinate by coordinate, because each depends on those before it."""
        target = self._arranged(z, self.order)
        u = torch.zeros_like(target)
        for d in range(target.shape[-1]):
            parameters = [part for raw in self.conditioner(u) for part in raw.unbind(2)]
            raw = parameters[d]
            u = u.clone()
            u[..., d] = self.transform.inverse(target[..., d], raw)
        return self._arranged(u, self.back)


class Normalisation(nn.Module):
    """Batch normalisation as an invertible layer, per member.

    It uses the batch's moments in training and the stored ones otherwise (Papamakarios et al. 2017
    recompute them on all data at the end: `Flow.restandardise`).
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, n_members: int, n_dims: int) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(n_members, 1, n_dims))
        self.shift = nn.Parameter(torch.zeros(n_members, 1, n_dims))
        self.register_buffer("mean", torch.zeros(n_members, 1, n_dims))
        self.register_buffer("variance", torch.ones(n_members, 1, n_dims))

    def measure(self, x: Tensor) -> None:
        """Store the moments of these points (M, B, D)."""
        self.mean.copy_(x.mean(1, keepdim=True))
        self.variance.copy_(x.var(1, keepdim=True, unbiased=False))

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            return x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        return self.mean, self.variance

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise points (M, B, D); also return log-determinants (M, 1)."""
        mean, variance = self._moments(x)
        log_sd = 0.5 * (variance + BATCHNORM_EPS).log()
        z = (x - mean) * (self.log_gain - log_sd).exp() + self.shift
        return z, (self.log_gain - log_sd).sum(-1)

    def inverse(self, z: Tensor) -> Tensor:
        """Invert with the stored moments."""
        log_sd = 0.5 * (self.variance + BATCHNORM_EPS).log()
        return (z - self.shift) * (log_sd - self.log_gain).exp() + self.mean


class Flow(nn.Module):
    """M flows from data to a standard normal base, trained by `models.flows.training`.

    See Also:
        `zuko.flows.MAF` is a single such flow.

    Args:
        keys: (M,) int64 (`randomness.member_keys`); they alone determine the initial weights.
        settings: architecture.
        orders: (M, D) order of the variables in each member's first block; None: 0, 1, ...

    >>> from models.flows.randomness import member_keys
    >>> flow = Flow(member_keys(0, torch.arange(3)), FlowSettings())
    >>> tuple(flow.log_prob(torch.zeros(3, 10, 2)).shape)
    (3, 10)
    """

    def __init__(self, keys: Tensor, settings: FlowSettings, orders: Tensor | None = None) -> None:
        super().__init__()
        self.settings = settings
        draws = InitialDraws(keys)
        if orders is None:
            orders = torch.arange(settings.n_dims).expand(len(keys), -1)
        orders = orders.to(keys.device)
        self._blocks = nn.ModuleList()
        self._norms = nn.ModuleList()
        for place in range(settings.n_blocks):
            order = orders if place % 2 == 0 else orders.flip(1)
            self._blocks.append(Block(draws, settings, order.clone()))
            if settings.normalisation != "none" and place < settings.n_blocks - 1:
                norm = Normalisation(len(keys), settings.n_dims)
                self._norms.append(norm.to(keys.device))

    @property
    def blocks(self) -> list[Block]:
        """Blocks, starting at the data."""
        return [block for block in self._blocks if isinstance(block, Block)]

    @property
    def norms(self) -> list[Normalisation]:
        """Normalisations; each follows the block of the same index."""
        return [norm for norm in self._norms if isinstance(norm, Normalisation)]

    @property
    def n_members(self) -> int:
        """Number of flows M."""
        return len(next(self.parameters()))

    def select(self, members: Tensor) -> Flow:
        """Return a copy of these members (m,) int64, in this order; repeats are allowed."""
        part = copy.deepcopy(self)
        n_members = self.n_members
        for tensor in (*part.parameters(), *part.buffers()):
            if len(tensor) == n_members:
                tensor.data = tensor.data[members].clone()
        return part

    @torch.no_grad()
    def flatten(self) -> Tensor:
        """Move the weights of every member into one row of a tensor (M, W), and return it.

        The parameters become views of it, so that one operation reaches all of them.
        """
        rows = [parameter.flatten(1) for parameter in self.parameters()]
        flat = torch.cat(rows, dim=1)
        parts = torch.split(flat, [row.shape[1] for row in rows], dim=1)
        for parameter, part in zip(self.parameters(), parts, strict=True):
            parameter.data = part.view(parameter.shape)
        return flat

    @torch.no_grad()
    def assign(self, members: Tensor, source: Flow) -> None:
        """Overwrite these members (m,) with the m members of `source`."""
        for mine, other in self._beside(source):
            mine[members] = other

    @torch.no_grad()
    def assign_where(self, members: Tensor, source: Flow, wanted: Tensor) -> None:
        """Like `assign`, but only for those of the m members where `wanted` (m,) is true."""
        for mine, other in self._beside(source):
            mask = wanted.reshape(-1, *[1] * (mine.dim() - 1))
            mine[members] = torch.where(mask, other, mine[members])

    def _beside(self, source: Flow) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the members' parameters and buffers, each beside that of `source`."""
        own = (*self.parameters(), *self.buffers())
        pairs = zip(own, (*source.parameters(), *source.buffers()), strict=True)
        yield from (pair for pair in pairs if len(pair[0]) == self.n_members)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map points (M, B, D) to the base; also return log-determinants (M, B)."""
        total = x.new_zeros(x.shape[:2])
        for place, block in enumerate(self.blocks):
            x, log_slope = block(x)
            total = total + log_slope
            if place < len(self.norms):
                x, log_slope = self.norms[place](x)
                total = total + log_slope
        return x, total

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log densities (M, B), in nats per unit of the data."""
        z, log_slope = self(x)
        result: Tensor = log_slope - 0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * _LOG_2PI
        return result

    def inverse(self, z: Tensor) -> Tensor:
        """Map base points (M, B, D) to data points."""
        for place in reversed(range(len(self.blocks))):
            if place < len(self.norms):
                z = self.norms[place].inverse(z)
            z = self.blocks[place].inverse(z)
        return z

    @torch.no_grad()
    def restandardise(self, x: Tensor) -> None:
        """Recompute the moments of every normalisation from these points (M, B, D)."""
        training = self.training
        self.eval()
        for place, block in enumerate(self.blocks):
            x, _ = block(x)
            if place < len(self.norms):
                self.norms[place].measure(x)
                x, _ = self.norms[place](x)
        self.train(training)
