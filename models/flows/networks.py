"""Many small networks at once: the weights of all members are stacked, one `baddbmm` per layer.

Shapes: M members, B points each, D coordinates, P parameters per coordinate. The
first axis of every parameter and buffer is that of the members; it has length 1 if they share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from models.flows.randomness import InitialDraws

_NARROW = 16
"""Below this number of columns, the transposed product is faster."""


class StackedLinear(nn.Module):
    """M linear layers (M, B, n_in) -> (M, B, n_out), optionally with fixed zeros.

    Args:
        draws: initial weights, uniform within 1 / sqrt(n_in) as in `torch.nn.Linear`.
        mask: (1 or M, n_in, n_out) of 0 and 1, or None.
        zero: start at zero, so that the map starts as the identity.
    """

    mask: Tensor | None

    def __init__(
        self,
        draws: InitialDraws,
        n_in: int,
        n_out: int,
        *,
        mask: Tensor | None = None,
        zero: bool = False,
    ) -> None:
        super().__init__()
        bound = 0.0 if zero else 1 / math.sqrt(max(n_in, 1))
        self.weight = nn.Parameter(draws.uniform(n_in, n_out) * bound)
        self.bias = nn.Parameter(draws.uniform(1, n_out) * bound)
        self.register_buffer("mask", mask)

    def masked_weight(self) -> Tensor:
        """Return the weights (M, n_in, n_out) with the fixed zeros."""
        return self.weight if self.mask is None else self.weight * self.mask


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x @ weight + bias (M, B, n_out), by the fastest operation for the shape."""
    if weight.shape[1] == 1:
        return torch.addcmul(bias, x, weight)
    if weight.shape[2] < _NARROW:
        return torch.baddbmm(bias.mT, weight.mT, x.mT).mT
    return torch.baddbmm(bias, x, weight)


class _ReluNetwork(torch.autograd.Function):
    """Layers with ReLU in between, with a backward pass of their own.

    Compared with what autograd would do, no activation is stored twice, the ReLUs work in place, and
    products with a narrow result are computed transposed. Training a batch of flows of width 32 on a
    CPU takes a quarter less time (`make bench PART=flows-speed`).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *layers: Tensor) -> Tensor:
        """Map x (M, B, n_in) by weights and biases in turn."""
        weights, biases = layers[::2], layers[1::2]
        inputs = [x]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            inputs.append(_linear(inputs[-1], weight, bias).relu_())
        ctx.save_for_backward(*inputs, *weights)
        return _linear(inputs[-1], weights[-1], biases[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and of all weights and biases."""
        n_layers = len(ctx.saved_tensors) // 2
        inputs, weights = ctx.saved_tensors[:n_layers], ctx.saved_tensors[n_layers:]
        found: list[Tensor | None] = []
        for place in reversed(range(n_layers)):
            x, weight = inputs[place], weights[place]
            found = [
                torch.bmm(grad.mT, x).mT if weight.shape[2] < _NARROW else torch.bmm(x.mT, grad),
                grad.sum(1, keepdim=True),
                *found,
            ]
            if place:
                grad = torch.bmm(grad, weight.mT)
                torch.ops.aten.threshold_backward.grad_input(grad, x, 0, grad_input=grad)
            elif ctx.needs_input_grad[0]:
                return torch.bmm(grad, weight.mT), *found
        return None, *found


class Perceptron(nn.Module):
    """Stacked layers with ReLU in between; the last one starts at zero.

    Args:
        sizes: widths, including input and output.
        masks: mask of each layer.
    """

    def __init__(
        self,
        draws: InitialDraws,
        sizes: Sequence[int],
        masks: Sequence[Tensor | None] | None = None,
    ) -> None:
        super().__init__()
        last = len(sizes) - 2
        self.layers = nn.ModuleList(
            StackedLinear(
                draws, n_in, n_out, mask=masks[place] if masks else None, zero=place == last
            )
            for place, (n_in, n_out) in enumerate(pairwise(sizes))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (M, B, n_in) to outputs (M, B, n_out) of the same type."""
        own, device = x.dtype, x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else own
        layers = [
            part
            for layer in self.layers
            if isinstance(layer, StackedLinear)
            for part in (layer.masked_weight(), layer.bias)
        ]
        with torch.autocast(device, enabled=False):
            result: Tensor = _ReluNetwork.apply(  # type: ignore[no-untyped-call]
                x.to(dtype), *(part.to(dtype) for part in layers)
            )
        return result.to(own)

    def set_output_bias(self, initial: Tensor) -> None:
        """Set the initial bias of the last layer to `initial` (n_out,)."""
        bias = list(self.parameters())[-1]
        with torch.no_grad():
            bias.copy_(initial.expand_as(bias))


class Conditioner(nn.Module):
    """Computes the parameters of each coordinate from those before it."""

    def forward(self, u: Tensor) -> tuple[Tensor, ...]:
        """Map u (M, B, D) to parameters (M, B or 1, d, P) of d coordinates.

        The d of all parts sum to D. The second axis has length 1 where all points share parameters.
        """
        raise NotImplementedError

    def set_output_bias(self, initial: Tensor) -> None:
        """Set the initial parameters of every coordinate to `initial` (P,)."""
        raise NotImplementedError


class PairConditioner(Conditioner):
    """The case D = 2 without masks: constants for u1, a network of u1 for u2."""

    def __init__(self, draws: InitialDraws, hidden: Sequence[int], n_params: int) -> None:
        super().__init__()
        self.n_params = n_params
        self.first = Perceptron(draws, (0, n_params))
        self.second = Perceptron(draws, (1, *hidden, n_params))

    def forward(self, u: Tensor) -> tuple[Tensor, ...]:
        """See `Conditioner.forward`."""
        return self.first(u[:, :1, :0]).unsqueeze(2), self.second(u[..., :1]).unsqueeze(2)

    def set_output_bias(self, initial: Tensor) -> None:
        """See `Conditioner.set_output_bias`."""
        for network in (self.first, self.second):
            network.set_output_bias(initial)


class MaskedConditioner(Conditioner):
    """Any D: one network with MADE's masks (Germain et al. 2015).

    A hidden unit of degree k sees the coordinates 1..k; the parameters of coordinate d see the hidden
    units of degree below d.
    """

    def __init__(
        self, draws: InitialDraws, n_dims: int, hidden: Sequence[int], n_params: int
    ) -> None:
        super().__init__()
        self.n_dims, self.n_params = n_dims, n_params
        seen = torch.arange(1, n_dims + 1)
        degrees = [seen[None], *(torch.arange(width)[None] % n_dims for width in hidden)]
        masks: list[Tensor | None] = [
            (before[:, :, None] <= after[:, None, :]).float() for before, after in pairwise(degrees)
        ]
        output = torch.arange(1, n_dims + 1).repeat_interleave(n_params)
        masks.append((degrees[-1][:, :, None] < output).float())
        masks = [mask.to(draws.keys.device) for mask in masks if mask is not None]
        self.network = Perceptron(draws, (n_dims, *hidden, n_dims * n_params), masks)

    def forward(self, u: Tensor) -> tuple[Tensor, ...]:
        """See `Conditioner.forward`."""
        raw: Tensor = self.network(u)
        return (raw.reshape(*raw.shape[:-1], self.n_dims, self.n_params),)

    def set_output_bias(self, initial: Tensor) -> None:
        """See `Conditioner.set_output_bias`."""
        self.network.set_output_bias(initial.repeat(self.n_dims))
