"""The stacked network and its own backward pass give what the formula gives."""

from itertools import pairwise

import pytest
import torch

from models.flows.networks import MaskedConditioner, Perceptron
from models.flows.randomness import InitialDraws, member_keys

SIZES = [(1, 8, 8, 2), (1, 8, 20), (3, 20, 20, 47), (0, 2), (1, 2), (4, 3, 17, 5, 1)]


def network(sizes):
    """Three members in 64 bits, with weights everywhere, and their inputs."""
    generator = torch.Generator().manual_seed(3)
    made = Perceptron(InitialDraws(member_keys(1, torch.arange(3))), sizes).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x = torch.randn(3, 6, sizes[0], generator=generator, dtype=torch.float64)
    return made, x.requires_grad_()


def formula(made, x):
    """The network as the literature writes it, under torch's own differentiation."""
    parts = list(made.parameters())
    for place in range(0, len(parts), 2):
        x = torch.relu(x) if place else x
        x = torch.einsum("mbi,mio->mbo", x, parts[place]) + parts[place + 1]
    return x


@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients_are_those_of_the_formula(sizes):
    made, x = network(sizes)
    wanted = [x, *made.parameters()]
    ours, theirs = made(x), formula(made, x)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn(
        ours.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4)
    )
    for one, other in zip(
        torch.autograd.grad((weight * ours).sum(), wanted),
        torch.autograd.grad((weight * theirs).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_half_precision_gradients_are_those_of_32_bits_up_to_rounding():
    made, x = network((1, 32, 32, 2))
    made, x = made.float(), x.detach().float().requires_grad_()
    exact = torch.autograd.grad(made(x).sum(), [x, *made.parameters()])
    with torch.autocast("cpu", torch.bfloat16):
        result = made(x)
    assert result.dtype == torch.float32
    half = torch.autograd.grad(result.sum(), [x, *made.parameters()])
    for one, other in zip(half, exact, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() <= 0.03 * other.norm()
    assert any((one != other).any() for one, other in zip(half, exact, strict=True))


def test_masked_weights_get_no_gradient():
    # Of so few units, all may be off for a draw in some hundreds.
    drawn = torch.Generator().manual_seed(0)
    draws = InitialDraws(member_keys(1, torch.arange(2)))
    conditioner = MaskedConditioner(draws, 3, (7, 5), 2).double()
    with torch.no_grad():
        for parameter in conditioner.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=drawn))
    (raw,) = conditioner(torch.randn(2, 4, 3, generator=drawn, dtype=torch.float64))
    raw.square().sum().backward()
    layers = conditioner.network.layers
    assert len(list(pairwise(layers))) == 2
    for layer in layers:
        assert (layer.weight.grad[:, layer.mask[0] == 0] == 0).all()
        assert (layer.weight.grad[:, layer.mask[0] == 1] != 0).any()
