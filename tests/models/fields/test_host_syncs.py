"""Fits never wait for the device: inside their loops nothing is copied to the host."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from models.base import FitContext
from models.fields import posterior, tilt
from models.fields.lattice import Lattice
from models.fields.posterior import field_variances
from models.fields.tilt import OverCells, OverLines, OverRows, fit_tilt
from models.flows.flow import Flow, FlowSettings
from models.flows.randomness import member_keys
from models.flows.training import Run
from models.flows.training_settings import TrainingSettings
from tests.support.simulated.square_grid import square_grid

CELLS = square_grid(8, 6)
WAITING = {
    "_local_scalar_dense",
    "nonzero",
    "unique_dim",
    "_unique2",
    "masked_select",
    "is_nonzero",
}


class NoHostSync(TorchDispatchMode):
    """Raise at operators that a GPU can answer only after everything before them is done."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        del types
        name = func.overloadpacket.__name__
        if name in WAITING or (
            name == "index" and any(t.dtype == torch.bool for t in _indices(args))
        ):
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


def _indices(args):
    return [t for t in args[1] if isinstance(t, torch.Tensor)]


@pytest.mark.slow
def test_the_check_itself_sees_a_wait():
    with pytest.raises(AssertionError, match="waits for the device"), NoHostSync():
        torch.ones(2).sum().item()
    with pytest.raises(AssertionError, match="waits for the device"), NoHostSync():
        torch.arange(3.0)[torch.tensor([True, False, True])]


@pytest.mark.parametrize("over", [OverCells(), OverRows(), OverLines(torch.as_tensor(CELLS.ix))])
def test_fields_are_fitted_without_waiting(over):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2.0, (5, 48)).astype(np.float64)
    features = torch.tensor(rng.normal(size=(5, 3)).astype("float32"))
    lattice, base = Lattice.of_cells(CELLS, {500.0: 0.3}), torch.full((48,), -np.log(48.0))
    settings = tilt.TiltSettings(n_steps=3)
    with NoHostSync():
        fields = fit_tilt(counts, base, features, lattice, FitContext(0), settings, over)
    assert torch.isfinite(fields).all()


def test_posteriors_are_solved_without_waiting(monkeypatch):
    solve = posterior._solve

    def watched(*args):
        with NoHostSync():
            return solve(*args)

    monkeypatch.setattr(posterior, "_solve", watched)
    lattice = Lattice.of_cells(CELLS, {500.0: 0.3})
    variance, _ = field_variances(np.full(48, 5.0), np.eye(3), lattice, FitContext(0))
    assert (variance > 0).all()


class Blob:
    n_uniforms = 2
    log_defensive = torch.full((3,), -5.0)

    def draw(self, members, uniforms, *, held_out):
        del members, held_out
        return torch.special.ndtri(uniforms.clamp(1e-4, 1 - 1e-4))


def test_steps_of_window_flows_do_not_wait():
    members, settings = torch.arange(3), TrainingSettings(n_steps=2, batch_size=16)
    keys = member_keys(0, members)
    flow = Flow(keys, FlowSettings(conditional="spline", n_blocks=2, hidden=(8,)))
    run = Run(flow, members, keys, Blob(), settings, FitContext(0))
    with NoHostSync():
        run.step(0)
        run.step(1)
    assert torch.isfinite(run._score()).all()
