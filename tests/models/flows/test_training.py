"""Training as one batch: each member's fate is its own, nothing ever leaves the finite numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.base import FitCancelled, FitContext
from models.densities.maf import Maf
from models.flows.flow import Flow, FlowSettings
from models.flows.randomness import hashed_uniform, member_keys
from models.flows.swag import SwagSettings
from models.flows.training import Run, train
from models.flows.training_settings import TrainingSettings
from models.flows.windows import WindowFlows
from models.incidents import Incidents
from models.units import DAY_S
from tests.support.simulated.brief_flows import WINDOWS, BriefMafPaper, BriefMafWindow
from tests.support.simulated.square_grid import square_grid

CUTOFF_S = 1_700_000_000


class Rings:
    """Member m learns a ring of radius 1 + m / 4; deterministic given the uniforms."""

    n_uniforms = 2

    def __init__(self, n_members):
        self.log_defensive = torch.full((n_members,), -5.0)

    def draw(self, members, uniforms, *, held_out):
        del held_out
        angle = 2 * np.pi * uniforms[..., 0]
        radius = (1 + members[:, None] / 4) * (0.9 + 0.2 * uniforms[..., 1])
        return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


SHORT = TrainingSettings(n_steps=60, batch_size=64, check_every=20, n_validation=256)
SPLINE = FlowSettings(2, "spline", n_blocks=2, hidden=(16,), n_bins=8)


def fitted(members, settings=SHORT, flow=SPLINE, context=FitContext(0)):  # noqa: B008
    source, keys = Rings(8), member_keys(3, torch.tensor(members))

    class Some(Rings):
        def draw(self, rows, uniforms, *, held_out):
            return source.draw(torch.tensor(members)[rows], uniforms, held_out=held_out)

    return train(Flow(keys, flow), Some(len(members)), settings, context, keys)


def test_training_gains_on_held_out_points():
    result = fitted([0, 1, 2])
    assert torch.all(result.score > result.initial_score + 0.1)
    assert torch.all(result.n_diverged == 0)


@pytest.mark.slow
def test_a_member_trains_alike_alone_and_in_a_batch():
    together, alone = fitted([0, 1, 2, 3]), fitted([2])
    torch.testing.assert_close(alone.score[0], together.score[2], atol=1e-4, rtol=0)


@pytest.mark.slow
def test_members_in_another_order_train_alike():
    forward, backward = fitted([0, 1, 2]), fitted([2, 1, 0])
    torch.testing.assert_close(backward.score, forward.score.flip(0), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_in_64_bits_the_last_bits_do_not_grow_and_the_flow_is_32_bits():
    precise, longer = FitContext(0, precision="float64"), replace(SHORT, n_steps=200)
    forward = fitted([0, 1, 2], longer, context=precise)
    backward = fitted([2, 1, 0], longer, context=precise)
    torch.testing.assert_close(backward.score, forward.score.flip(0), atol=1e-8, rtol=0)
    assert {p.dtype for p in forward.flow.parameters()} == {torch.float32}


@pytest.mark.slow
def test_noise_of_another_processor_is_rounded_away_in_64_bits():
    """Points that differ in the last bits give weights that do not differ at all."""

    class Noisy(Rings):
        def draw(self, members, uniforms, *, held_out):
            uniforms = uniforms.double()
            x = super().draw(members, uniforms, held_out=held_out)
            return x * (1 + self.noise * uniforms)

    keys, members = member_keys(3, torch.arange(2)), torch.arange(2)
    weights = []
    for noise in (0.0, 1e-14):
        source = Noisy(2)
        source.noise = noise
        context = FitContext(0, precision="float64")
        run = Run(Flow(keys, SPLINE).double(), members, keys, source, SHORT, context)
        for step in range(50):
            run.step(step)
        weights.append(list(run.flow.parameters()))
    for a, b in zip(*weights, strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_same_seed_gives_the_same_bits():
    first, second = fitted([0, 1]), fitted([0, 1])
    for a, b in zip(first.flow.parameters(), second.flow.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_a_member_that_diverges_restarts_and_spoils_no_other():
    class Poisoned(Rings):
        def draw(self, members, uniforms, *, held_out):
            x = super().draw(members, uniforms, held_out=held_out)
            return x if held_out else torch.where((members == 1)[:, None, None], torch.nan, x)

    keys = member_keys(3, torch.arange(3))
    clean = train(Flow(keys, SPLINE), Rings(3), SHORT, FitContext(0), keys)
    result = train(Flow(keys, SPLINE), Poisoned(3), SHORT, FitContext(0), keys)
    assert result.n_diverged.tolist() == [0, 1 + SHORT.n_restarts, 0]
    assert torch.isfinite(result.score).all()
    assert result.score[1] == result.initial_score[1]
    for member in (0, 2):
        torch.testing.assert_close(result.score[member], clean.score[member], atol=1e-4, rtol=0)


@pytest.mark.slow
def test_half_precision_products_cost_little_and_leave_densities_whole():
    whole = fitted([0, 1])
    half = fitted([0, 1], context=FitContext(0, precision="bf16"))
    assert not torch.equal(half.score, whole.score)
    torch.testing.assert_close(half.score, whole.score, atol=0.05, rtol=0)
    assert half.flow.log_prob(torch.zeros(2, 1, 2)).dtype == torch.float32


def test_a_fit_can_be_cancelled():
    context = FitContext(0, cancelled=lambda: True)
    with pytest.raises(FitCancelled):
        train(Flow(member_keys(0, torch.arange(1)), SPLINE), Rings(1), SHORT, context)


@pytest.mark.parametrize("step", [-2, 0, 7, 10**6])
def test_a_step_on_the_device_draws_what_its_number_does(step):
    keys = member_keys(0, torch.arange(3))
    assert torch.equal(hashed_uniform(keys, torch.tensor(step), 5), hashed_uniform(keys, step, 5))


@pytest.mark.slow
def test_draws_lie_strictly_between_zero_and_one():
    keys = member_keys(0, torch.arange(4))
    # Parts that fit the processor's cache, 64 million numbers in all: each of the 24 bits' values.
    extremes = [hashed_uniform(keys, step, 1 << 16).aminmax() for step in range(256)]
    assert 0 < min(part.min for part in extremes) < 1e-6
    assert 1 - 1e-6 < max(part.max for part in extremes) < 1


def test_draws_depend_on_member_and_step_alone():
    keys = member_keys(7, torch.arange(4))
    whole = hashed_uniform(keys, 5, 100_000)
    assert torch.equal(whole[2:3], hashed_uniform(keys[2:3], 5, 100_000))
    assert not torch.equal(whole, hashed_uniform(keys, 6, 100_000))
    counts = torch.histc(whole[0], bins=20, min=0, max=1)
    assert ((counts - 5_000).square() / 5_000).sum() < 50  # chi-square, 19 degrees, level 1e-4


def _cells():
    return square_grid(6, 5)


def _incidents(n, kind):
    rng = np.random.default_rng(8)
    if kind == "equal":
        x, y = np.full(n, 700.0), np.full(n, 700.0)
    else:
        x, y = rng.uniform(1, 1_499, n), rng.uniform(1, 1_249, n)
        if kind == "snapped":
            x, y = np.round(x / 400) * 400 + 1, np.round(y / 400) * 400 + 1
    time_s = np.sort(CUTOFF_S - rng.integers(1, 700 * DAY_S, n))
    return Incidents(
        x.astype(np.float32),
        np.minimum(y, 1_249).astype(np.float32),
        time_s,
        (time_s // 3600 % 168).astype(np.int16),
        np.zeros(n, np.int16),
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [0, 1, 50, 100_000])
@pytest.mark.parametrize("kind", ["spread", "snapped", "equal"])
@pytest.mark.parametrize("model", [Maf, BriefMafWindow, BriefMafPaper])
def test_any_data_gives_finite_densities_that_sum_to_one(model, kind, n):
    fit = model().fit(_incidents(n, kind), _cells(), FitContext(CUTOFF_S))
    assert np.all(np.isfinite(fit.probability_))
    assert np.all(fit.probability_ > 0)
    np.testing.assert_allclose(fit.probability_.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.slow
def test_single_windows_are_the_same_as_among_others_up_to_rounding():
    cells, known = _cells(), _incidents(5_000, "spread")
    cell = cells.locate(known.x_m, known.y_m)
    settings = BriefMafWindow()._settings()
    both = WindowFlows(settings).fit(known, cell, cells, FitContext(CUTOFF_S))
    one = WindowFlows(replace(settings, windows=(100,))).fit(
        known, cell, cells, FitContext(CUTOFF_S)
    )
    np.testing.assert_allclose(one.probability_[0, 100], both.probability_[0, 100], rtol=1e-3)


@pytest.mark.parametrize("normalisation", ["none", "batchnorm"])
def test_a_trained_flow_judges_a_point_alone_as_it_does_among_others(normalisation):
    # By the moments of the points asked about, batch normalisation would not.
    flow = FlowSettings(n_blocks=3, hidden=(16,), normalisation=normalisation)
    result = fitted([0, 1], flow=flow)
    x = torch.randn(2, 200, 2)
    torch.testing.assert_close(result.flow.log_prob(x)[:, :1], result.flow.log_prob(x[:, :1]))


@pytest.mark.slow
def test_weights_that_wander_stay_around_the_fit_and_differ():
    cells, known = _cells(), _incidents(5_000, "spread")
    cell = cells.locate(known.x_m, known.y_m)
    fit = WindowFlows(BriefMafWindow()._settings()).fit(known, cell, cells, FitContext(CUTOFF_S))
    settings = SwagSettings(n_snapshots=6, steps_between=5)
    drawn = fit.swag_probabilities(cells, FitContext(CUTOFF_S), settings, 4)
    again = fit.swag_probabilities(cells, FitContext(CUTOFF_S), settings, 4)
    assert drawn.shape == (4, 1, len(WINDOWS), 30)
    np.testing.assert_array_equal(drawn, again)
    np.testing.assert_allclose(drawn.sum(-1), 1.0, atol=1e-6)
    apart = np.abs(drawn - fit.probability_[:, WINDOWS]).sum(-1)
    assert np.all(apart > 1e-4)
    assert np.all(apart < 0.3)
