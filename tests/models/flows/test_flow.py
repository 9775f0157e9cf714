"""Flows are what their formulas say: inverse, log-determinant, mass, masks, and zuko's numbers."""

import numpy as np
import pytest
import torch
import zuko

from models.flows.flow import Flow, FlowSettings
from models.flows.randomness import member_keys

KINDS = ("affine", "mixture", "spline")


def shaken(settings, n_members=3, seed=1, scale=0.3, orders=None):
    """A flow away from its start: every parameter moved by noise of its own."""
    flow = Flow(member_keys(seed, torch.arange(n_members)), settings, orders)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return flow.double().eval()


def points(n_members, n, n_dims, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_members, n, n_dims, generator=generator, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_dims", [2, 3])
def test_inverse_of_forward_is_the_point(kind, n_dims):
    flow = shaken(FlowSettings(n_dims, kind, n_blocks=3, hidden=(16,)), scale=0.2)
    x = points(3, 50, n_dims)
    z, _ = flow(x)
    # A mixture's CDF is told apart from one up to 1e-6 only: points far out are not asked back.
    near = z.abs().amax(-1) < 4.0
    assert near.double().mean() > 0.7
    torch.testing.assert_close(flow.inverse(z)[near], x[near], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalisation", ["none", "batchnorm"])
def test_log_determinant_is_that_of_the_jacobian(kind, normalisation):
    flow = shaken(
        FlowSettings(3, kind, n_blocks=2, hidden=(12,), normalisation=normalisation), n_members=1
    )
    x = points(1, 8, 3)
    told = flow(x)[1][0]
    for place in range(8):

        def one(point):
            return flow(point.reshape(1, 1, 3))[0].reshape(3)

        jacobian = torch.autograd.functional.jacobian(one, x[0, place])
        torch.testing.assert_close(
            torch.linalg.slogdet(jacobian).logabsdet, told[place], atol=1e-6, rtol=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_density_integrates_to_one(kind):
    flow = shaken(FlowSettings(2, kind, n_blocks=2, hidden=(16,)), n_members=1, scale=0.15)
    edge = torch.linspace(-10, 10, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(edge, edge)[None]
    with torch.no_grad():
        mass = flow.log_prob(grid).exp().sum(1) * (20 / 400) ** 2
    np.testing.assert_allclose(mass, 1.0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_path_equals_the_mask_free_path_in_two_dimensions(kind):
    """Weights of the pair of networks, put into the one masked network, give the same density."""
    pair = shaken(FlowSettings(2, kind, n_blocks=1, hidden=(6,)), n_members=2)
    masked = shaken(FlowSettings(2, kind, n_blocks=1, hidden=(12,), masked=True), n_members=2)
    own, other = pair.blocks[0].conditioner, masked.blocks[0].conditioner.network
    n_params = pair.blocks[0].transform.n_params
    # Hidden units of degree 0 (even places) see nothing, those of degree 1 see u1.
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
        first, second, whole = own.first.layers, own.second.layers, other.layers
        whole[0].weight[:, 0, 1::2] = second[0].weight[:, 0]
        whole[0].bias[:, :, 1::2] = second[0].bias
        whole[1].weight[:, 1::2, n_params:] = second[1].weight
        whole[1].bias[:, :, :n_params] = first[0].bias
        whole[1].bias[:, :, n_params:] = second[1].bias
    x = points(2, 40, 2)
    torch.testing.assert_close(masked.log_prob(x), pair.log_prob(x))


@pytest.mark.parametrize("n_dims", [2, 5])
def test_a_coordinate_never_sees_itself_or_later_ones(n_dims):
    settings = FlowSettings(n_dims, "affine", n_blocks=1, hidden=(24, 24), masked=True)
    orders = torch.stack([torch.randperm(n_dims) for _ in range(3)])
    flow = shaken(settings, orders=orders)

    def shift_and_scale(u):
        (parameters,) = flow.blocks[0].conditioner(u)
        return parameters

    u = points(3, 1, n_dims)
    for seen in range(n_dims):
        moved = u.clone()
        moved[..., seen] += 1.0
        change = (shift_and_scale(moved) - shift_and_scale(u)).abs().amax(-1)[:, 0]
        assert torch.all(change[:, : seen + 1] == 0)


def _copy_from_zuko(theirs, ours):
    """Put the (masked) weights of a zuko MAF into member 0 of our flow."""
    for their_block, block in zip(theirs.transform.transforms, ours.blocks, strict=True):
        linears = [m for m in their_block.hyper if hasattr(m, "mask")]
        layers = block.conditioner.network.layers
        order = block.order[0]
        for place, (linear, layer) in enumerate(zip(linears, layers, strict=True)):
            weight = (linear.mask * linear.weight).T.double()
            bias = linear.bias.double()
            if place == 0:
                weight = weight[order]
            if place == len(linears) - 1:
                n_dims = len(order)
                # theirs: (shift, scale) by coordinate; ours: (scale, shift) in the block's order
                weight = weight.reshape(-1, n_dims, 2)[:, order].flip(-1).flatten(1)
                bias = bias.reshape(n_dims, 2)[order].flip(-1).flatten()
            layer.mask = None
            layer.weight.data[0] = weight
            layer.bias.data[0, 0] = bias


@pytest.mark.parametrize("n_dims", [2, 4])
def test_log_density_is_zukos_with_its_weights(n_dims):
    torch.manual_seed(0)
    theirs = zuko.flows.MAF(n_dims, 0, transforms=3, hidden_features=(32, 32)).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    settings = FlowSettings(n_dims, "affine", n_blocks=3, hidden=(32, 32), masked=True)
    ours = shaken(settings, n_members=1)
    _copy_from_zuko(theirs, ours)
    x = points(1, 200, n_dims)
    torch.testing.assert_close(ours.log_prob(x)[0], theirs().log_prob(x[0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_alone_is_the_member_in_the_batch(kind):
    flow = shaken(FlowSettings(2, kind, n_blocks=2, hidden=(16,)), n_members=4)
    x = points(4, 30, 2)
    whole = flow.log_prob(x)
    for member in range(4):
        alone = flow.select(torch.tensor([member])).log_prob(x[member : member + 1])
        torch.testing.assert_close(alone[0], whole[member], atol=1e-12, rtol=1e-12)


def test_permuted_members_give_permuted_densities():
    flow = shaken(FlowSettings(3, "spline", n_blocks=2, hidden=(16,)), n_members=5)
    x, places = points(5, 20, 3), torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(flow.select(places).log_prob(x[places]), flow.log_prob(x)[places])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_density(kind):
    """Probability integral transform by the flow itself is uniform; level 1e-4, Bonferroni over 4."""
    from scipy.stats import kstest

    flow = shaken(FlowSettings(2, kind, n_blocks=2, hidden=(16,)), n_members=1, scale=0.15)
    base = points(1, 4_000, 2, seed=11)
    drawn = flow.inverse(base)
    # Compare with rejection sampling from the density alone: the two ways share no code.
    generator = torch.Generator().manual_seed(12)
    wide = 8.0 * (2 * torch.rand(1, 100_000, 2, generator=generator, dtype=torch.float64) - 1)
    with torch.no_grad():
        density = flow.log_prob(wide)[0].exp()
    kept = wide[0, torch.rand(100_000, generator=generator) < density / density.max()]
    assert len(kept) > 500
    for axis in range(2):
        for function in (lambda p, a=axis: p[:, a], lambda p, a=axis: p[:, a] * p[:, 1 - a].abs()):
            ours = function(drawn[0].detach()).numpy()
            assert kstest(ours, function(kept).numpy()).pvalue > 2.5e-5
