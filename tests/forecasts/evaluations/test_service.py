"""Places of one's own on past periods: counted again from the database, cell by cell."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import orjson
import pytest
import shapely
from sqlalchemy import text

from app.core.errors import InvalidInput, LimitExceeded
from app.core.roles import Role
from app.forecasts.evaluations.lists import joined
from app.forecasts.evaluations.places import MAX_CELLS
from app.forecasts.evaluations.routes import router
from app.forecasts.evaluations.schemas import EvaluationRequest
from app.forecasts.evaluations.service import MAX_PERIOD_DAYS, Question, evaluate
from app.forecasts.service import ForecastService
from app.http.permissions import rule_of
from models.evaluation.small_areas import ListScore
from tests.support.services.served import NEW

START, END = NEW, NEW + timedelta(days=7)
URL = "/v1/regions/town/evaluations"


@pytest.fixture(scope="module")
def service(served, settings):
    return ForecastService(served.engine, settings)


@pytest.fixture(scope="module")
def own(served):
    """Rows of twelve cells, some of them full."""
    counts = counted(served, START, END)
    return np.concatenate([np.argsort(-counts, kind="stable")[3:9], [0, 5, 9, 20, 33, 40]])


def counted(served, start, end):
    """Return the incidents of each cell (N,)."""
    with served.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT x_m, y_m FROM incidents WHERE occurred_at >= :a AND occurred_at < :b"),
            {"a": start, "b": end},
        ).all()
    cells = served.grid.locate(*np.array(rows).T)
    return np.bincount(cells[cells >= 0], minlength=len(served.grid))


def body(served, rows, **more):
    cells = served.grid.cell_id[rows].tolist()
    return {"cells": cells, "from": START.isoformat(), "to": END.isoformat(), **more}


def asked(served, **sent):
    reply = served.client.post(URL, json=sent)
    assert reply.status_code == 200, reply.text
    return reply.json()


def squares(served, rows):
    shapes = served.grid.polygons_degrees(np.asarray(rows))
    features = [
        {"type": "Feature", "properties": {}, "geometry": orjson.loads(shapely.to_geojson(shape))}
        for shape in shapes
    ]
    return {"type": "FeatureCollection", "features": features}


@pytest.mark.slow
def test_three_lists_of_the_same_area_by_brute_force(served, own):
    found = asked(served, **body(served, own))
    area_km2, grid = served.grid.area_km2, served.grid
    counts = counted(served, START, END)
    before = counted(served, START - timedelta(days=365), START)
    one = found["periods"][0]
    assert found["area_km2"] == pytest.approx(area_km2[own].sum())
    assert found["total_km2"] == pytest.approx(area_km2.sum())

    def caught(order):
        n = max(1, int((np.cumsum(area_km2[order]) <= found["area_km2"] * (1 + 1e-9)).sum()))
        return order[:n]

    last_year = np.lexsort((np.arange(len(grid)), -area_km2, -before))
    for name, rows in (("own", own), ("prior_counts", caught(last_year))):
        told = one[name]
        assert (told["n"], told["hits"]) == (counts.sum(), counts[rows].sum()), name
        assert told["area_km2"] == pytest.approx(area_km2[rows].sum())
        assert told["pai"] == pytest.approx(
            counts[rows].sum() / counts.sum() / (area_km2[rows].sum() / area_km2.sum())
        )
        rri = counts[rows].sum() / counts.sum() / (before[rows].sum() / before.sum())
        assert told["rri"] == pytest.approx(rri)
        assert told["hits"] <= told["best_hits"]
    assert one["champion"]["model_version"].startswith("truth-20191225")
    gap = one["differences"]["prior_counts"]
    assert gap["hits"] == one["own"]["hits"] - one["prior_counts"]["hits"]
    assert gap["lo"] <= gap["hits"] <= gap["hi"]
    assert {k: one[k] for k in ("own", "prior_counts")}.items() <= found["total"].items()


def test_the_champions_cells_are_those_of_its_own_hotspots(served, own):
    hours = {"from": START.isoformat(), "to": END.isoformat(), "as_of": START.isoformat()}
    found = asked(served, **body(served, own))["periods"][0]["champion"]
    reply = served.client.get(
        "/v1/regions/town/forecasts/hotspots", params={**hours, "n_cells": found["n_cells"]}
    ).json()
    rows = np.searchsorted(served.grid.cell_id, [one["id"] for one in reply["features"]])
    assert found["hits"] == counted(served, START, END)[rows].sum()
    assert found["area_km2"] == pytest.approx(served.grid.area_km2[rows].sum())


def test_polygons_of_cells_are_the_cells_and_overlaps_count_once(served, own):
    by_cells = asked(served, **body(served, own))
    twice = squares(served, [*own, *own[:4]])
    sent = {k: v for k, v in body(served, own).items() if k != "cells"}
    by_polygons = asked(served, **sent, areas=twice)
    assert by_polygons["area_km2"] == pytest.approx(by_cells["area_km2"], rel=1e-4)
    assert by_polygons["total"]["own"]["hits"] == by_cells["total"]["own"]["hits"]


def test_periods_add_up_and_one_without_an_old_version_says_so(served, own):
    spans = [(START, START + timedelta(days=3)), (START + timedelta(days=3), END)]
    periods = [{"from": a.isoformat(), "to": b.isoformat()} for a, b in spans]
    sent = {"cells": served.grid.cell_id[own].tolist()}
    found = asked(served, **sent, periods=periods)
    whole = asked(served, **body(served, own))
    for name in ("own", "prior_counts"):
        assert sum(one[name]["n"] for one in found["periods"]) == whole["total"][name]["n"]
    assert found["total"]["own"]["hits"] == whole["total"]["own"]["hits"]
    early = NEW - timedelta(days=60)
    first = {"from": early.isoformat(), "to": (early + timedelta(days=7)).isoformat()}
    found = asked(served, **sent, periods=[first, *periods])
    assert found["periods"][0]["champion"] is found["total"]["champion"] is None
    assert found["periods"][0]["differences"]["champion"] is None
    assert found["periods"][1]["champion"]["n"] > 0
    codes = [note["code"] for note in found["periods"][0]["notes"]]
    assert codes == ["no_version_before", "less_than_a_year_before"]


def test_categories_restrict_what_is_counted(served, own):
    names = served.data.categories
    alone = [asked(served, **body(served, own, category=name)) for name in names]
    whole = asked(served, **body(served, own))
    for member in ("n", "hits"):
        total = sum(one["total"]["own"][member] for one in alone)
        assert total == whole["total"]["own"][member]
    assert served.client.post(URL, json=body(served, own, category="none")).status_code == 404


def test_the_audit_log_has_numbers_and_no_places(served, own):
    asked(served, **body(served, own))
    with served.engine.connect() as connection:
        action, details = connection.execute(
            text("SELECT action, details FROM audit_log ORDER BY seq DESC LIMIT 1")
        ).one()
    assert action == "evaluate"
    assert orjson.loads(details) == {"areas": 0, "cells": len(own), "periods": 1}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"cells": [10**9]}, "no cell 1000000000"),
        ({"cells": list(range(MAX_CELLS + 1))}, "at most 20000 items"),
        ({"cells": None}, "give areas or cells"),
        ({"areas": {"type": "FeatureCollection", "features": []}}, "give areas or cells"),
        ({"to": "2050-01-01T00:00Z"}, "must be over"),
        ({"to": (START + timedelta(days=MAX_PERIOD_DAYS + 1)).isoformat()}, "the limit is 92"),
        ({"to": START.isoformat()}, "after from"),
        ({"period": 1}, "period"),
    ],
)
def test_what_cannot_be_judged_is_refused(served, own, change, match):
    reply = served.client.post(URL, json={**body(served, own), **change})
    assert reply.status_code == 422
    assert match in reply.text


def test_places_far_away_or_of_no_area_are_refused(service):
    def question(geometry, **more):
        feature = {"type": "Feature", "properties": {}, "geometry": geometry}
        return Question(((START, END),), [feature], **more)

    far = orjson.loads(shapely.to_geojson(shapely.box(10, 50, 10.01, 50.01)))
    with pytest.raises(InvalidInput, match=r"outside the study area|too far"):
        evaluate(service, "town", question(far))
    with pytest.raises(InvalidInput, match="must be a Polygon"):
        evaluate(service, "town", question({"type": "Point", "coordinates": [0, 0]}))
    spans = tuple((START - timedelta(days=k + 1), START - timedelta(days=k)) for k in range(25))
    with pytest.raises(LimitExceeded, match="25 periods, the limit is 24"):
        evaluate(service, "town", Question(spans, cells=[1]))
    with pytest.raises(InvalidInput, match="overlap"):
        evaluate(service, "town", Question(((START, END), (START, END)), cells=[1]))


def test_only_who_may_list_incidents_may_ask():
    assert [rule_of(route).roles for route in router.routes] == [frozenset({Role.ANALYST})]


def test_lists_of_several_periods_are_one():
    scores = [
        ListScore(100, 10, 1.0, 50.0, 20, 1_000, 90),
        ListScore(300, 40, 2.0, 50.0, 60, 900, 80),
    ]
    assert joined(scores) == ListScore(400, 50, 1.75, 50.0, 80, 1_900, 170)


def test_a_request_is_one_question():
    feature = {"type": "Feature", "properties": {}, "geometry": None}
    asked = EvaluationRequest.model_validate(
        {"areas": feature, "from": START, "to": END, "category": "theft"}
    )
    assert asked.question() == Question(((START, END),), [feature], (), ("theft",))
    spans = [{"from": START, "to": END}] * 2
    assert (
        len(EvaluationRequest.model_validate({"cells": [1], "periods": spans}).question().periods)
        == 2
    )
