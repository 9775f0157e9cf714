"""Every model of the catalog keeps the conventions of an estimator (as scikit-learn's `check_estimator`)."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from app.geo.grid import build_grid
from app.geo.hour_of_week import windows_of
from app.geo.study_area import to_metres
from app.geo.synthetic import CATEGORIES, CRS, TIMEZONE, synthetic_city
from models.base import FitContext
from models.catalog import MODEL_NAMES, USES_DEVICE, create_model
from models.densities.cox import HourTilt
from models.densities.drift import DriftedBackbone
from models.densities.gmm import Gmm
from models.densities.maf import HourFlow
from models.estimator import ConvergenceWarning, Estimator, NotFittedError
from models.flows.cell_flow import HourFirstFlow, HourLastFlow
from models.incidents import Incidents
from models.units import N_WINDOWS
from tests.support.simulated.brief_flows import AllHoursMafPaper, AllHoursMafWindow

CELLS = build_grid(synthetic_city().area, 1000.0)
SLOW = {"maf-window": AllHoursMafWindow, "maf-paper": AllHoursMafPaper}
"""Networks of 168 windows: fitted once each, in a few steps."""
SETTINGS = {"maf-paper": {"n_blocks": 1, "width": 8}}
"""Smaller than the default, for speed."""


def _incidents(n_days: int, seed: int) -> Incidents:
    frame = synthetic_city().draw(n_days, 8, seed=seed)
    x_m, y_m = to_metres(frame["longitude"].to_numpy(), frame["latitude"].to_numpy(), CRS)
    time_s = frame["occurred_at"].dt.as_unit("s").astype("int64").to_numpy()
    return Incidents(
        x_m.astype(np.float32),
        y_m.astype(np.float32),
        time_s,
        windows_of(time_s, TIMEZONE),
        frame["category"].map({n: i for i, n in enumerate(CATEGORIES)}).to_numpy(np.int16),
    )


KNOWN = _incidents(150, 5)
CONTEXT = FitContext(int(KNOWN.time_s[-1]) + 1, seed=3)


@pytest.fixture(scope="module")
def fitted():
    """Each model, fitted once and kept."""
    made = {}

    def get(name):
        if name not in made:
            create = SLOW.get(name, partial(create_model, name))
            made[name] = create(**SETTINGS.get(name, {}))
            assert made[name].fit(KNOWN, CELLS, CONTEXT) is made[name]
        return made[name]

    return get


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_parameters_are_stored_as_given_and_make_an_equal_estimator(name):
    model = create_model(name)
    twin = model.clone()
    assert twin is not model
    assert twin.get_params() == model.get_params()
    assert set(vars(model)) == set(model.get_params())
    assert repr(twin) == repr(model)
    assert repr(model).startswith(type(model).__name__ + "(")


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_only_models_that_are_named_for_it_fit_on_the_device(name):
    model = SLOW.get(name, partial(create_model, name))(**SETTINGS.get(name, {}))
    elsewhere = replace(CONTEXT, device="nowhere")
    if name in USES_DEVICE:
        with pytest.raises(RuntimeError, match="nowhere"):
            model.fit(KNOWN, CELLS, elsewhere)
    else:
        model.fit(KNOWN, CELLS, elsewhere)


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_what_is_not_fitted_refuses_by_name(name):
    model = create_model(name)
    rows, window = np.array([0]), np.array([0])
    for verb in (
        lambda: model.cell_probability(0),
        lambda: model.log_density(rows, window),
        lambda: model.sample(1, 0),
        lambda: model.probability_,
    ):
        with pytest.raises(NotFittedError, match=f"{type(model).__name__} is not fitted"):
            verb()
    assert not hasattr(model, "probability_")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = model.nonsense


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_a_fit_adds_only_names_that_end_in_an_underscore_and_changes_no_parameter(name, fitted):
    model = fitted(name)
    params = create_model(name, **SETTINGS.get(name, {})).get_params()
    assert model.get_params() == params
    added = set(vars(model)) - set(params)
    assert added
    assert {n for n in added if not n.endswith("_") or n.startswith("_")} == set()
    json.dumps(model.report(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_probabilities_are_distributions_on_the_cells(name, fitted):
    model = fitted(name)
    assert model.probability_.shape in ((1, len(CELLS)), (N_WINDOWS, len(CELLS)))
    np.testing.assert_allclose(model.probability_.sum(axis=1), 1.0, atol=1e-9)
    assert (model.probability_ > 0).all()
    for category in (None, *model.category_density_):
        assert model.cell_probability(5, category).sum() == pytest.approx(1.0, abs=1e-9)
    density = np.exp(model.log_density(np.arange(len(CELLS)), np.full(len(CELLS), 5)))
    np.testing.assert_allclose(density * CELLS.area_km2, model.cell_probability(5), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_NAMES)
def test_samples_follow_the_density_and_the_seed(name, fitted):
    model, n = fitted(name), 20_000
    rows = model.sample(n, 5, seed=1)
    assert rows.shape == (n,)
    np.testing.assert_array_equal(rows, model.sample(n, 5, seed=1))
    assert (rows != model.sample(n, 5, seed=2)).any()
    expected = model.cell_probability(5) * n
    chi2 = ((np.bincount(rows, minlength=len(CELLS)) - expected) ** 2 / expected).sum()
    # Mean N - 1, variance 2 (N - 1) and a little where cells expect few: five standard deviations.
    assert chi2 < len(CELLS) + 8 * np.sqrt(2 * len(CELLS))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in MODEL_NAMES if n not in SLOW])
def test_a_fit_leaves_its_data_alone_and_can_be_repeated(name, fitted):
    before = copy.deepcopy(vars(KNOWN))
    again = create_model(name).fit(KNOWN, CELLS, CONTEXT)
    np.testing.assert_array_equal(again.probability_, fitted(name).probability_)
    for column, values in before.items():
        np.testing.assert_array_equal(getattr(KNOWN, column), values)
    other = _incidents(100, 6)
    again.fit(other, CELLS, CONTEXT)
    fresh = create_model(name).fit(other, CELLS, CONTEXT)
    np.testing.assert_array_equal(again.probability_, fresh.probability_)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in MODEL_NAMES if n not in SLOW])
def test_the_future_is_not_seen(name, fitted):
    later = _incidents(200, 5)
    past = later.before(CONTEXT.cutoff_s)
    with_future = create_model(name).fit(later, CELLS, CONTEXT)
    without = create_model(name).fit(past, CELLS, CONTEXT)
    np.testing.assert_array_equal(with_future.probability_, without.probability_)


@pytest.mark.parametrize("part", [DriftedBackbone, HourTilt, HourFlow, HourFirstFlow, HourLastFlow])
def test_parts_of_models_are_estimators_too(part):
    assert issubclass(part, Estimator)
    made = part()
    assert set(vars(made)) == set(made.get_params())
    with pytest.raises(NotFittedError):
        _ = made.probability_


def test_em_says_when_it_stopped_before_it_converged():
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 steps"):
        model = Gmm(max_iterations=1, tolerance=1e-9).fit(KNOWN, CELLS, CONTEXT)
    assert model.report()["unconverged_windows"]
    assert Gmm().fit(KNOWN, CELLS, CONTEXT).report()["unconverged_windows"] == []
