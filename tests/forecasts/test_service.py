"""What forecasts promise: mass, counts, cells of any kind, ranges, categories, versions."""

import math

import numpy as np
import pytest
import shapely

from app.http import query_params as misspelt
from app.registry import store
from models.densities.state import mean_over_hours

BASE = "/v1/regions/town/forecasts"
AT = "at=2019-12-31T23:00"


def get(served, path, **params):
    reply = served.client.get(f"{BASE}/{path}", params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


def problem(served, path, **params):
    reply = served.client.get(f"{BASE}/{path}", params=params)
    assert reply.headers["content-type"] == "application/problem+json", reply.text
    return reply.json()


@pytest.fixture(scope="module")
def whole_week(served):
    return [get(served, "density", window=w) for w in range(168)]


def test_mass_is_one_in_all_windows_and_follows_the_table(served, whole_week):
    for window, body in enumerate(whole_week):
        probability = np.array(body["cells"]["probability"])
        assert abs(probability.sum() - 1) < 1e-6
        np.testing.assert_allclose(probability, served.tables[window], rtol=1e-5, atol=1e-9)


def test_counts_are_probability_times_total(served, whole_week):
    for body in whole_week[::7]:
        cells = body["cells"]
        expected = np.array(cells["probability"]) * body["expected_total"]
        np.testing.assert_allclose(cells["expected_count"], expected, rtol=1e-5, atol=1e-9)
        assert (np.array(cells["expected_count_lo"]) <= np.array(cells["expected_count_hi"])).all()
        assert body["expected_total_lo"] <= body["expected_total"] <= body["expected_total_hi"] + 1
        density = np.array(cells["probability"]) / served.grid.area_km2
        np.testing.assert_allclose(cells["density_per_km2"], density, rtol=1e-6)


def test_at_and_window_agree(served, whole_week):
    body = get(served, "density", at="2019-12-31T23:59:59")  # a Tuesday
    assert body["window"] == 47
    assert body["at"] == "2019-12-31T23:00:00-05:00"
    assert body["cells"]["probability"] == whole_week[47]["cells"]["probability"]
    assert get(served, "density", at="2020-01-01T04:30:00Z")["at"] == body["at"]


def test_every_reply_says_where_it_comes_from(served):
    for path in (f"density?{AT}", f"hotspots?{AT}", f"samples?{AT}&seed=1", f"series?{AT}"):
        reply = served.client.get(f"{BASE}/{path}")
        body = reply.json()
        assert (
            body["model_version"]
            == reply.headers["X-Hotslot-Model-Version"]
            == "truth-20191225-44cb9228c0"
        )
        assert body["trained_until"] == "2019-12-25T00:00:00+00:00"
        assert "data_hash" not in body
        assert {"generated_at", "warnings", "expected_total_lo", "expected_total_hi"} <= set(body)


@pytest.mark.parametrize("size_m", [100, 333.3, 1000])
def test_reaggregation_is_exact(served, size_m):
    """Mass of any block of whole target cells equals the density's integral there."""
    body = get(served, "density", at="2019-12-31T23:00", cell_size_m=size_m)
    probability = np.array(body["cells"]["probability"])
    assert abs(probability.sum() - 1) < 1e-6
    assert math.fsum(body["cells"]["expected_count"]) == pytest.approx(body["expected_total"])
    grid, source = body["grid"], served.grid
    ids = np.array(body["cells"]["id"])
    ix, iy = ids % grid["nx"], ids // grid["nx"]
    density = served.tables[47] / source.area_km2
    for take in (slice(0, 3), slice(len(ids) // 2, len(ids) // 2 + 3)):
        for row in range(*take.indices(len(ids))):
            west = grid["x0_m"] + ix[row] * size_m
            south = grid["y0_m"] + iy[row] * size_m
            box = shapely.box(west, south, west + size_m, south + size_m)
            piece = shapely.intersection(
                shapely.intersection(source.squares_m(np.arange(len(source))), box),
                served.data.area.polygon_m,
            )
            assert probability[row] == pytest.approx(
                float(density @ shapely.area(piece)) / 1e6, rel=1e-5
            )


@pytest.mark.parametrize("resolution", [7, 8, 9])
def test_hexagons_hold_the_same_total(served, resolution):
    squares = get(served, "density", at="2019-12-31T23:00")
    hexagons = get(served, "density", at="2019-12-31T23:00", grid="h3", resolution=resolution)
    assert abs(sum(hexagons["cells"]["probability"]) - 1) < 1e-6
    total = math.fsum(hexagons["cells"]["expected_count"])
    assert total == pytest.approx(squares["expected_total"], rel=1e-5)
    assert len(set(hexagons["cells"]["id"])) == len(hexagons["cells"]["id"])
    densest = np.argmax(hexagons["cells"]["density_per_km2"])
    assert max(squares["cells"]["density_per_km2"]) >= hexagons["cells"]["density_per_km2"][densest]


def test_a_range_is_the_sum_of_its_slots(served):
    span = {"from": "2019-12-30T20:00", "to": "2019-12-31T02:00"}
    body = get(served, "density", **span)
    assert (body["n_slots"], body["window"]) == (6, None)
    expected = np.zeros(len(served.grid))
    for hour in range(6):
        at = np.datetime64("2019-12-30T20:00") + np.timedelta64(hour, "h")
        expected += get(served, "density", at=str(at))["cells"]["expected_count"]
    np.testing.assert_allclose(body["cells"]["expected_count"], expected, rtol=1e-5)
    assert body["expected_total_lo"] < body["expected_total"] < body["expected_total_hi"]


def test_series_with_cells_adds_up(served):
    span = {"from": "2019-12-30", "to": "2020-01-06"}
    body = get(served, "series", cells=True, **span)
    assert [s["window"] for s in body["slots"]] == list(range(168))
    counts = np.array(body["cells"]["expected_count"])
    totals = [s["expected_total"] for s in body["slots"]]
    np.testing.assert_allclose(counts.sum(axis=1), totals, rtol=1e-4)
    assert sum(totals) == pytest.approx(body["expected_total"], rel=1e-5)


def test_windowless_models_serve_all_hours(served):
    first = get(served, "density", window=3, model="flat")
    other = get(served, "density", window=100, model="flat")
    assert first["cells"]["probability"] == other["cells"]["probability"]
    assert first["expected_total"] != other["expected_total"]


def test_categories_have_their_own_tables_and_shares(served):
    names = served.data.categories
    totals = [get(served, "density", window=20, category=n)["expected_total"] for n in names]
    assert sum(totals) == pytest.approx(get(served, "density", window=20)["expected_total"])
    own = get(served, "density", window=20, category=names[1])["cells"]["probability"]
    expected = served.own.given(served.tables[20])
    np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-9)
    rare = get(served, "density", window=20, category=names[0])["cells"]["probability"]
    np.testing.assert_allclose(rare, served.tables[20], rtol=1e-5, atol=1e-9)
    assert problem(served, "density", window=20, category="none")["status"] == 404


def test_bbox_shows_only_cells_that_touch_it(served):
    everything = get(served, "density", window=4)["cells"]
    lon, lat = np.array(everything["longitude"]), np.array(everything["latitude"])
    west, south, east, north = np.quantile(lon, 0.4), np.quantile(lat, 0.3), lon.max(), lat.max()
    body = get(served, "density", window=4, bbox=f"{west},{south},{east},{north}")
    inside = {
        i
        for i, x, y in zip(everything["id"], lon, lat, strict=True)
        if west <= x <= east and south <= y <= north
    }
    assert inside <= set(body["cells"]["id"]) < set(everything["id"])
    assert body["bbox_share"] == pytest.approx(sum(body["cells"]["probability"]), rel=1e-6)


def test_series_of_boxes_that_go_around_the_globe(served):
    """As rings in metres they cross themselves, where geometry fails."""
    every = len(get(served, "density", window=4)["cells"]["id"])
    for bbox in ("-180,-90,180,90", "-33,0,147,49", "-180,0,-2.6,50", "-33,0,137.86,50"):
        shown = len(get(served, "series", window=4, cells=True, bbox=bbox)["cells"]["id"])
        assert shown in (0, every)


def test_as_of_takes_the_version_that_knew_nothing_later(served):
    body = get(served, "density", at="2019-12-15T20:00", as_of="2019-12-15")
    assert body["model_version"] == "truth-20191201-1da2385870"
    assert not [w for w in body["warnings"] if w["code"] == "in_sample"]
    in_sample = get(served, "density", at="2019-12-15T20:00")
    assert [w for w in in_sample["warnings"] if w["code"] == "in_sample"]
    refused = problem(served, "density", at="2019-12-15T20:00", as_of="2019-11-15")
    assert (refused["status"], refused["code"]) == (404, "no_version_as_of")


def test_new_incidents_are_reported_as_news(served):
    """The town's data go on after the version's cutoff."""
    warnings = get(served, "density", window=4)["warnings"]
    assert any(w["code"] == "new_incidents" for w in warnings)


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("density", {}, "at"),
        ("density", {"at": "2019-12-31", "from": "2019-12-31", "to": "2020-01-01"}, "at"),
        ("density", {"from": "2019-12-31"}, "from"),
        ("density", {"from": "2019-12-31", "to": "2019-12-30"}, "to"),
        ("density", {"from": "2019-12-01", "to": "2019-12-30"}, "to"),
        ("density", {"at": "2919-12-31"}, "at"),
        ("density", {"at": "yesterday"}, "at"),
        ("density", {"window": 3, "cell_size_m": 99}, "cell_size_m"),
        ("density", {"window": 3, "resolution": 8}, "resolution"),
        ("density", {"window": 3, "grid": "h3", "resolution": 12}, "resolution"),
        ("density", {"window": 3, "bbox": "1,2,3"}, "bbox"),
        ("density", {"window": 3, "f": "tif", "grid": "h3"}, "grid"),
        ("hotspots", {"window": 3, "n_cells": 10**6}, "n_cells"),
        ("hotspots", {"window": 3, "bbox": "0,0,1,1"}, "bbox"),
        ("hotspots", {"window": 3, "top": 0}, "top"),
        ("samples", {"window": 3, "n": 10_001}, "n"),
        ("samples", {"window": 3, "n": 10**9, "seed": 1}, "n"),
        ("outcomes", {"from": "2019-01-01", "to": "2019-12-30"}, "to"),
        ("outcomes", {"at": "2019-12-26T23:00"}, "at"),
        ("outcomes", {"window": 3}, "window"),
    ],
)
def test_limits_name_the_parameter(served, path, params, field):
    body = problem(served, path, **params)
    assert (body["status"], body["field"]) == (422, field)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("catgory=theft", "category"),
        ("modle=stack", "model"),
        ("Window=3", "window"),
        ("BBOX=1,2,3,4", "bbox"),
    ],
)
def test_a_misspelt_parameter_is_not_answered_as_if_it_were_not_there(served, query, meant):
    reply = served.client.get(f"/v1/regions/town/forecasts/density?{query}")
    assert reply.status_code == 422
    told = reply.json()
    assert (told["code"], told["field"]) == ("unknown_parameter", query.partition("=")[0])
    assert repr(meant) in told["detail"]


def test_parameters_of_other_routes_are_ignored(served):
    query = "window=3&n=2&cell_size_m=500&top=5&dissolve=true"
    assert served.client.get(f"/v1/regions/town/forecasts/samples?{query}").status_code == 200


def test_a_long_address_costs_few_comparisons(monkeypatch):
    """Else thousands of unknown names would hold up the event loop for seconds."""
    compared = []
    monkeypatch.setattr(misspelt, "get_close_matches", lambda name, *_: compared.append(name))
    misspelt.check_names(b"&".join(b"a%d=" % n for n in range(9_000)), {"model"}, {"model"})
    assert len(compared) == misspelt.MAX_UNKNOWN


def test_the_mean_over_all_hours_is_read_some_hours_at_a_time(served, monkeypatch):
    """Bit by bit what all tables at once give, which states were made from so far."""
    rates, read, asked = np.linspace(0.5, 2.0, 168), store.read_probabilities, []

    def read_probabilities(connection, key, version, code, windows):
        asked.append(len(windows))
        return read(connection, key, version, code, windows)

    monkeypatch.setattr(store, "read_probabilities", read_probabilities)
    with served.engine.connect() as connection:
        for version in store.list_versions(connection, served.data.region.key):
            place = (connection, version.region_key, version.version)
            tables = read(*place, store.ALL_CATEGORIES, range(168)).astype(np.float64)
            found = store.read_mean(*place, rates)
            np.testing.assert_array_equal(found, mean_over_hours(tables, rates))
    assert max(asked) == store.WINDOWS_AT_ONCE
