"""What a forecast is worth is split into place and hour, by hand and for any maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.metrics import score_incidents
from models.evaluation.worth import GAINS, gains_by_incident, score_all_hours, worth_json
from models.units import DAY_S, N_WINDOWS

N_CELLS = 40
LISTED = 2
"""Cells of the best 5 %."""


def by_hour(fixed_model, seed):
    rng = np.random.default_rng(seed)
    return fixed_model(rng.dirichlet(np.full(N_CELLS, 0.3), N_WINDOWS))


def judged(fixed_model, model, seed=0, n=60):
    """Gains of a model on drawn incidents, and the drawn rows and windows."""
    rng = np.random.default_rng(seed)
    rows, window = rng.integers(0, N_CELLS, n), rng.integers(0, N_WINDOWS, n)
    past = rng.integers(0, N_WINDOWS, 500)
    rivals = [
        score_incidents(fixed_model(rng.dirichlet(np.ones(N_CELLS))), rows, window)
        for _ in range(2)
    ]
    own = score_incidents(model, rows, window)
    return gains_by_incident(own, score_all_hours(model, rows, past), *rivals), own, rivals


def test_one_map_for_all_hours_has_an_hour_worth_nothing(fixed_model):
    model = fixed_model(np.random.default_rng(3).dirichlet(np.ones(N_CELLS)))
    found, _, _ = judged(fixed_model, model)
    assert set(found) == set(GAINS)
    np.testing.assert_allclose(found["hour_nats"], 0.0, atol=1e-12)
    assert not found["hour_hits"].any()
    np.testing.assert_array_equal(found["asked_hits"], found["places_hits"])


@given(st.integers(0, 50))
def test_hits_of_the_hour_asked_are_those_of_the_places_and_of_the_hour(fixed_model, seed):
    found, own, (kde, last_year) = judged(fixed_model, by_hour(fixed_model, seed), seed)
    np.testing.assert_array_equal(found["asked_hits"], found["places_hits"] + found["hour_hits"])
    np.testing.assert_allclose(found["nats"], own.log_density - kde.log_density)
    assert found["cap_auc"].mean() == pytest.approx(kde.mid_rank.mean() - own.mid_rank.mean())
    assert (
        found["asked_hits"].sum() == (own.place < LISTED).sum() - (last_year.place < LISTED).sum()
    )


def test_hours_weigh_as_past_incidents_fell_into_them(fixed_model):
    """Two hours of which one has nine tenths of the past: its places make the list of all hours."""
    table = np.full((N_WINDOWS, N_CELLS), 1.0)
    table[:, 39] = 3.0
    table[0, [0, 1]] = 500.0
    table[1, [2, 3]] = 400.0
    model = fixed_model(table / table.sum(axis=1, keepdims=True))
    past = np.repeat([0, 1], [9_000, 1_000])
    found = score_all_hours(model, np.array([0, 1, 2, 39]), past)
    assert found.hits.tolist() == [1, 1, 0, 0]
    weight = np.bincount(past, minlength=N_WINDOWS) + 1.0
    mean = weight / weight.sum() @ model.probability_
    np.testing.assert_allclose(found.log_density, np.log(mean[[0, 1, 2, 39]]))


def test_gains_have_bounds_and_those_without_their_rival_are_left_out(fixed_model):
    model = by_hour(fixed_model, 1)
    _, own, (kde, last_year) = judged(fixed_model, model)
    rng = np.random.default_rng(0)
    rows = rng.integers(0, N_CELLS, 60)
    flat = score_all_hours(model, rows, rng.integers(0, N_WINDOWS, 500))
    time_s = np.arange(60) * DAY_S
    both = {"pooled-kde": kde, "prior-counts": last_year}
    found = worth_json(own, flat, both, time_s)
    assert (found["n"], list(found["gains"])) == (60, list(GAINS))
    for gain in found["gains"].values():
        assert gain["lo"] <= gain["mean"] <= gain["hi"]
    assert found["list_share"] == (last_year.place < LISTED).mean()
    alone = worth_json(own, flat, {"other": kde}, time_s)
    assert list(alone["gains"]) == ["hour_nats", "hour_hits"]
    assert alone["list_share"] is None
