"""Monotone maps: their inverse, their slope, and the identity where nothing is learnt."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.flows.transforms import Affine, Mixture, Spline

TRANSFORMS = [Affine(), Spline(), Spline(n_bins=5, bound=2.0), Mixture(n_components=4)]


def drawn(transform, seed, n=64):
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(n, generator=generator, dtype=torch.float64) * 2
    raw = torch.randn(n, transform.n_params, generator=generator, dtype=torch.float64)
    return u, raw + transform.initial().double()


@pytest.mark.parametrize("transform", TRANSFORMS)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_the_inverse_undoes_the_map(transform, seed):
    u, raw = drawn(transform, seed)
    z, _ = transform.forward(u, raw)
    # The mixture cuts its tails, where the map is flat.
    well = z.abs() < 4.5 if isinstance(transform, Mixture) else torch.ones_like(z, dtype=torch.bool)
    torch.testing.assert_close(transform.inverse(z, raw)[well], u[well], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("transform", TRANSFORMS)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_any_parameters_can_be_inverted(transform, seed):
    """Far from the initial ones too: a network's outputs of standard deviation 6."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(256, generator=generator, dtype=torch.float64).clamp(-4.5, 4.5)
    raw = 6 * torch.randn(256, transform.n_params, generator=generator, dtype=torch.float64)
    again, _ = transform.forward(transform.inverse(z, raw), raw)
    torch.testing.assert_close(again, z, atol=1e-5, rtol=0)


@pytest.mark.parametrize("transform", TRANSFORMS)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_the_logarithm_is_that_of_the_slope(transform, seed):
    u, raw = drawn(transform, seed)
    u.requires_grad_()
    z, log_slope = transform.forward(u, raw)
    (slope,) = torch.autograd.grad(z.sum(), u)
    well = z.abs() < 4.5 if isinstance(transform, Mixture) else torch.ones_like(z, dtype=torch.bool)
    torch.testing.assert_close(slope.log()[well], log_slope.detach()[well], atol=1e-5, rtol=1e-5)
    assert torch.isfinite(log_slope).all()


@pytest.mark.parametrize("transform", TRANSFORMS[:3])
def test_parameters_of_zero_are_the_identity(transform):
    u = torch.linspace(-6, 6, 101, dtype=torch.float64)
    z, log_slope = transform.forward(u, torch.zeros(101, transform.n_params, dtype=torch.float64))
    torch.testing.assert_close(z, u)
    torch.testing.assert_close(log_slope, torch.zeros_like(u), atol=1e-6, rtol=0)
