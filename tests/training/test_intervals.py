"""A training on times that are known as intervals, from the upload to the forecast."""

import numpy as np
import pytest
from sqlalchemy import select, text

from app.core.db.tables import regions
from app.fitting.data import load_training_data
from app.fitting.hourly_counts import fit_counts
from models.base import FitContext
from models.densities.cox import Cox
from models.units import HOUR_S
from tests.support.simulated.small_region import START, row, train

N_DAYS = 60


def rows_of(seed=0, n=600):
    """Incidents at five past any hour."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        at = START + np.timedelta64(int(rng.integers(N_DAYS * 24)) * 60 + 5, "m").astype(object)
        yield row(at, (10.001 + rng.random() * 0.058, 50.001 + rng.random() * 0.038))


def as_interval(one, from_minute=0, to_minute=50):
    """The same, known to have happened between some minutes after its time."""
    given = dict(one)
    at = np.datetime64(given.pop("occurred_at").removesuffix("+00:00"))
    for name, minute in (("occurred_from", from_minute), ("occurred_to", to_minute)):
        given[name] = f"{at + np.timedelta64(minute, 'm')}Z"
    return given


def stored(engine, place, rows):
    """What a training reads of a region that holds only these incidents."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE incidents"))
    reply = place("ingester", "POST", "/incidents", json=rows)
    assert reply.json()["accepted"] == len(rows), reply.text
    with engine.connect() as connection:
        key = connection.execute(select(regions.c.key)).scalar_one()
    return load_training_data(engine, key).shared_out()


def test_intervals_of_one_hour_are_exact_times_bit_for_bit(engine, place):
    rows = list(rows_of())
    exact = stored(engine, place, rows)
    known = stored(engine, place, [as_interval(one) for one in rows])
    assert known.incidents.intervals is None
    assert (known.incidents.window == exact.incidents.window).all()
    assert fit_counts(known).state() == fit_counts(exact).state()
    tables = [
        Cox().fit(data.incidents, data.grid, FitContext(data.cutoff_s)).probability_
        for data in (exact, known)
    ]
    assert (tables[0] == tables[1]).all()


def test_an_incident_counts_once_wherever_its_interval_begins(engine, place):
    rows = list(rows_of())
    known = stored(engine, place, [as_interval(one, -5 * 60, 5 * 60) for one in rows])
    data = known.incidents
    hours = data.by_hour()
    assert hours.weight.sum() == pytest.approx(len(data), rel=1e-5)
    assert (data.at_s >= data.time_s).all()
    assert (data.at_s < data.time_s + 10 * HOUR_S).all()
    assert fit_counts(known).level * N_DAYS * 24 == pytest.approx(len(rows), rel=0.3)


def test_an_interval_that_is_not_over_at_the_cutoff_is_not_learnt_from(engine, place):
    rows = [as_interval(one, -5 * 60, 5 * 60) for one in rows_of()]
    known = stored(engine, place, rows)
    ends = np.array([np.datetime64(one["occurred_to"].removesuffix("Z")) for one in rows])
    over = ends.astype("datetime64[s]").astype(np.int64) <= known.cutoff_s
    assert 0 < (~over).sum() < 20
    assert len(known.incidents) == len(known.rows) == over.sum()


def test_a_version_says_which_times_were_not_exact(engine, settings, place):
    rows = list(rows_of())
    half = [as_interval(one, -300, 300) if k % 2 else one for k, one in enumerate(rows)]
    stored(engine, place, half)
    version, _ = train(engine, settings, place, "trainer")
    shown = place("trainer", "GET", f"/models/{version}").json()
    (of_kind,) = shown["report"]["data"]["inexact_times"]
    assert of_kind["category"] == "theft"
    assert of_kind["interval_share"] == pytest.approx(0.5, abs=0.02)
    assert of_kind["placeholder_share"] == 0.0
