"""`minimum_count` in forecasts: cells with few incidents share one density, whatever is asked for."""

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as lean
from hypothesis import strategies as st

from app.fitting.data import load_training_data
from app.geo.grid import build_grid
from app.geo.regrid import overlap_of
from app.main import create_app
from app.regions.learning_policy import LearningPolicy
from app.regions.service import set_policy
from app.regions.store import get_region
from app.training.service import TrainingRequest
from app.worker.jobs import run_now
from models.base import CategoryDensity
from models.densities.small_counts import pool_small_counts
from models.densities.uniform import Uniform

MINIMUM = 8
PICKED = {"at": "2024-01-03T12:00:00"}


class Fitted(Uniform):
    """A model with the tables it is given."""

    def __init__(self, table, area_km2, categories):
        self.probability_, self.area_km2_ = table, area_km2
        self.category_density_ = categories


@st.composite
def fits(draw):
    """A model of random tables, its incidents' cells and categories, and a minimum."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_cells, n_windows = draw(st.integers(2, 30)), draw(st.sampled_from([1, 168]))
    area = rng.uniform(0.01, 1.0, n_cells)
    table = rng.gamma(0.3, size=(n_windows, n_cells)) + 1e-9
    table /= table.sum(axis=1, keepdims=True)
    n = draw(st.integers(0, 200))
    rows = np.minimum(rng.geometric(draw(st.floats(0.05, 0.9)), n) - 1, n_cells - 1)
    own = {}
    for code in range(draw(st.integers(0, 4))):
        fixed = rng.dirichlet(np.full(n_cells, 0.5)) * rng.uniform(0, 0.9)
        own[code] = CategoryDensity(rng.gamma(1.0, size=n_cells) + 1e-6, fixed)
    category = rng.integers(0, len(own) + 1, n)
    return Fitted(table, area, own), rows, category, draw(st.integers(2, 12))


def pooled_in(probability, model):
    """(N,) whether a cell has the density of another one, in every row."""
    density = probability / model.area_km2_
    close = np.isclose(density[:, :, None], density[:, None, :], rtol=1e-9, atol=0).all(axis=0)
    return close.sum(axis=1) > 1


@lean(max_examples=150, deadline=None)
@given(fits())
def test_few_incidents_share_one_density_and_others_keep_theirs(fit):
    model, rows, category, minimum = fit
    before, own_before = model.probability_.copy(), dict(model.category_density_)
    counts = np.bincount(rows, minlength=before.shape[1])
    told = pool_small_counts(model, rows, category, minimum)
    after = model.probability_
    assert np.allclose(after.sum(axis=1), 1.0, rtol=1e-12)
    changed = ~np.isclose(after, before, rtol=1e-12, atol=0).all(axis=0)
    pooled = pooled_in(after, model)
    assert pooled[counts < minimum].all()
    assert told["n_cells"] == pooled.sum()
    assert not (changed & ~pooled).any()
    if pooled.any():
        density = after[:, pooled] / model.area_km2_[pooled]
        assert np.allclose(density, density[:, :1], rtol=1e-9), "one density in every window"
        assert counts[pooled].sum() >= minimum or pooled.all()
    assert len(own_before) - len(model.category_density_) == told["categories_by_the_city"]
    for code, density in model.category_density_.items():
        _judge_category(model, density, np.bincount(rows[category == code], minlength=len(counts)),
                        pooled, minimum)  # fmt: skip


def _judge_category(model, density, counts, city, minimum):
    given_windows = density.given(model.probability_)
    assert np.allclose(given_windows.sum(axis=1), 1.0, rtol=1e-9)
    assert (given_windows > 0).all()
    few = (counts < minimum) | city
    inside = given_windows[:, few] / model.area_km2_[few]
    assert np.allclose(inside, inside[:1, :1], rtol=1e-9), "at all hours and in all cells alike"
    pool = density.ratio == 0
    assert not pool.any() or counts[pool].sum() >= minimum


def test_what_subtraction_would_tell_is_pooled_too():
    """Two thefts of ten incidents: the eight assaults of that cell would tell them."""
    model = Fitted(np.full((1, 4), 0.25), np.ones(4),
                   {c: CategoryDensity(np.ones(4), np.zeros(4)) for c in (0, 1)})  # fmt: skip
    cells = np.repeat([0, 0, 1, 2, 3, 1, 2], [2, 8, 9, 9, 9, 20, 20])
    category = np.repeat([0, 1, 0, 0, 0, 1, 1], [2, 8, 9, 9, 9, 20, 20])
    pool_small_counts(model, cells, category, 5)
    assert model.category_density_[1].ratio[0] == 0
    assert model.category_density_[0].ratio[0] == 0


def test_categories_are_what_the_mean_hour_was():
    rng = np.random.default_rng(1)
    table = rng.dirichlet(np.ones(6), 168)
    density = CategoryDensity(rng.gamma(1.0, size=6), rng.dirichlet(np.ones(6)) * 0.4)
    before = density.given(table)
    model = Fitted(table, np.ones(6), {0: density})
    rows = np.repeat(np.arange(6), [1, 2, 30, 30, 30, 30])
    pool_small_counts(model, rows, np.zeros(len(rows)), 3)
    after = model.category_density_[0].given(model.probability_)
    assert after[:, :2].sum(axis=1) == pytest.approx(before[:, :2].sum(axis=1).mean())
    assert after[:, 2:].mean(axis=0) == pytest.approx(before[:, 2:].mean(axis=0), rel=0.1)


@pytest.mark.parametrize("minimum", [0, 1])
def test_nothing_is_pooled_unless_asked_for(minimum):
    model = Fitted(np.array([[0.2, 0.8]]), np.ones(2), {})
    assert pool_small_counts(model, np.zeros(3, int), np.zeros(3), minimum) is None
    assert model.probability_.tolist() == [[0.2, 0.8]]


@pytest.fixture(scope="module")
def pooled(engine, settings, town):
    """Rows of the town's cells with few incidents, by what the training says; its version."""
    set_policy(engine, town, LearningPolicy(minimum_count=MINIMUM))
    request = TrainingRequest(model="stack", seed=0, validate=False)
    run = run_now(engine, settings, town, request, lambda _s, _m: None)
    assert run.status == "succeeded", run.message
    with engine.connect() as connection:
        region = get_region(connection, town)
    data = load_training_data(engine, region.key, by_policy=True)
    counts = np.bincount(data.rows, minlength=len(data.grid))
    few = counts < MINIMUM
    assert 10 < few.sum() < len(few)
    return data, few, run.model_version


@pytest.mark.parametrize("category", [None, "theft"])
@pytest.mark.parametrize("hour", [3, 20])
def test_replies_hide_few_incidents_at_two_cell_sizes(
    engine, settings, town, pooled, category, hour
):
    data, few, version = pooled
    ask = {"at": f"2024-01-03T{hour:02d}:00:00", **({"category": category} if category else {})}
    with TestClient(create_app(settings, engine)) as client:
        path = f"/v1/regions/{town}/forecasts/density"
        own = client.get(path, params=ask).json()
        fine = client.get(path, params={**ask, "cell_size_m": 200}).json()
    assert own["model_version"] == version
    assert any(f"fewer than {MINIMUM} incidents share" in w["message"] for w in own["warnings"])
    density = np.array(own["cells"]["density_per_km2"])
    assert own["cells"]["id"] == data.grid.cell_id.tolist()
    assert density[few] == pytest.approx(density[few][0], rel=1e-5)
    assert len(np.unique(density[~few].round(9))) > 10
    grid = build_grid(data.area, 200.0)
    overlap = overlap_of(data.area, data.grid, grid)
    touched_by_others = np.bincount(overlap.target, ~few[overlap.source], len(grid)) > 0
    fine_density = np.array(fine["cells"]["density_per_km2"])[~touched_by_others]
    assert len(fine_density) > 50
    assert fine_density == pytest.approx(density[few][0], rel=1e-4)


def test_samples_scores_card_and_a_version_from_before_say_the_same(engine, settings, town, pooled):
    data, few, version = pooled
    x_m, y_m = data.grid.centres_degrees
    places = [{"occurred_at": "2024-01-03T12:10:00", "longitude": x, "latitude": y}
              for x, y in zip(x_m[few], y_m[few], strict=True)]  # fmt: skip
    with TestClient(create_app(settings, engine)) as client:
        base = f"/v1/regions/{town}"
        scored = client.post(f"{base}/forecasts/score", json={"incidents": places}).json()
        told = [s["log_density_per_km2"] for s in scored["scores"] if s["cell"] is not None]
        assert len(told) > 5
        assert max(told) - min(told) < 1e-4
        card = client.get(f"{base}/models/{version}/card").json()
        assert card["data"]["small_counts"]["minimum_count"] == MINIMUM
        assert card["data"]["small_counts"]["n_cells"] >= few.sum()
        set_policy(engine, town, LearningPolicy(minimum_count=MINIMUM + 1))
    with TestClient(create_app(settings, engine)) as client:
        warned = client.get(f"{base}/forecasts/density", params=PICKED).json()["warnings"]
        assert any(w["code"] == "small_counts_not_hidden" for w in warned)
