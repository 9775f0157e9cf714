"""Backtests of a region with streets: scores agree with a count by hand; a later layer changes no result."""

import json
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
import shapely
from fastapi.testclient import TestClient
from rich.console import Console

from app.cli.evaluation.backtests import streets_table
from app.evaluation.backtests.checkpoints import Protocol, Task, TaskStore
from app.evaluation.backtests.execute import Inputs, fit_and_score, fit_unit
from app.evaluation.backtests.report import html_report
from app.evaluation.backtests.request import BacktestRequest
from app.evaluation.backtests.sharing.inputs import pack_inputs, plan_digest, unpack_inputs
from app.evaluation.backtests.streets import street_tests, streets_json
from app.fitting.data import load_training_data
from app.geo.boundaries import study_area_from_geojson
from app.geo.synthetic import synthetic_city
from app.geo.synthetic_streets import synthetic_streets
from app.main import create_app
from app.regions.store import get_region
from app.streets.snapping import SNAP_M
from app.streets.store import get_layer
from app.worker.jobs import run_claimed, run_now
from models.streets.scoring import PERCENTS
from models.units import DAY_S
from tests.support.services.shared_backtests import claimed, lasting
from tests.support.simulated.small_region import BOX, START, backtest

GEOJSON = {"content-type": "application/geo+json"}
MODELS = ("uniform", "prior-counts", "window-kde")
REQUEST = BacktestRequest(MODELS, n_origins=2)


def quiet(_share, _message):
    pass


def drawn(block_m):
    return json.dumps(synthetic_streets(synthetic_city().area, block_m))


@pytest.fixture(scope="module")
def client(engine, settings, town):
    with TestClient(create_app(settings, engine)) as opened:
        yield opened


def store_streets(client, content, region="town", **headers):
    path = f"/v1/regions/{region}/streets"
    reply = client.put(path, content=content, headers={**GEOJSON, **headers})
    assert reply.status_code == 200, reply.text
    return reply.json()


@pytest.fixture(scope="module")
def without(client, engine, settings):
    """A backtest before the region had streets."""
    run = run_now(engine, settings, "town", REQUEST, quiet)
    assert run.status == "succeeded", run.message
    return run.result


@pytest.fixture(scope="module")
def layer(client, without):
    return store_streets(client, drawn(200.0))


@pytest.fixture(scope="module")
def run(layer, engine, settings):
    """The same with streets."""
    made = run_now(engine, settings, "town", REQUEST, quiet)
    assert made.status == "succeeded", made.message
    return made


@pytest.fixture(scope="module")
def known(engine, town, layer):
    """The data, and the segments as lines, read apart from the code under test."""
    with engine.connect() as connection:
        region = get_region(connection, town)
        network = get_layer(connection, region)[0].network(region.crs)
    data = load_training_data(engine, region.key)
    ends = zip(network.start[:-1], network.start[1:], strict=True)
    return data, np.array([shapely.LineString(network.xy_m[a:b]) for a, b in ends])


def nearest(lines, incidents):
    """The nearest line of each incident, or -1."""
    points = shapely.points(incidents.x_m.astype(float), incidents.y_m.astype(float))
    tree = shapely.STRtree(lines)
    found = np.full(len(points), -1)
    asked, line = tree.query_nearest(points, max_distance=SNAP_M, all_matches=False)
    found[asked] = line
    return found


def metre_by_metre(expected, lines, segment, percent):
    """Incidents on the best streets of a length: along the list until the metres are used up."""
    length_m = shapely.length(lines)
    left_m, total = percent / 100 * length_m.sum(), 0.0
    rank = expected / length_m
    order = sorted(range(len(lines)), key=lambda row: -rank[row])
    for _, equal in groupby(order, key=lambda row: rank[row]):
        rows = list(equal)
        metres = length_m[rows].sum()
        total += min(left_m / metres, 1.0) * np.isin(segment, rows).sum()
        left_m -= metres
        if left_m <= 0:
            break
    return total


@pytest.mark.slow
def test_without_streets_there_is_no_section_and_nothing_else_changes(without, run):
    assert "streets" not in without
    assert "streets" not in html_report(without)
    assert run.result["differences"] == without["differences"]
    for name in MODELS:
        one, other = run.result["models"][name], without["models"][name]
        assert (one["log_score"], one["hits"]) == (other["log_score"], other["hits"])
    assert set(run.result) == {*without, "streets"}


def test_last_years_counts_agree_with_a_count_by_hand(run, known):
    data, lines = known
    found = run.result["streets"]
    hits, n, n_far = np.zeros(len(PERCENTS)), 0, 0
    for origin_s in origins_of(data):
        year = data.incidents.before(origin_s).since(origin_s - 365 * DAY_S)
        counts = np.bincount(on_streets(lines, year), minlength=len(lines)).astype(float)
        test = nearest(lines, data.incidents.between(origin_s, origin_s + 28 * DAY_S))
        n, n_far = n + len(test), n_far + (test < 0).sum()
        hits += [metre_by_metre(counts, lines, test, percent) for percent in PERCENTS]
    assert [row["hits"] for row in found["counts"]] == pytest.approx(hits.tolist(), abs=2e-3)
    assert (found["n"], found["n_off_streets"]) == (n, n_far)
    assert n == run.result["n"] > 500
    assert found["counts"][1]["share"] == pytest.approx(found["counts"][1]["hits"] / n)
    assert (
        found["counts"][1]["share_lo"]
        < found["counts"][1]["share"]
        < found["counts"][1]["share_hi"]
    )


def test_cells_laid_on_streets_agree_with_a_count_by_hand(run, known):
    """Of a uniform density each cell's share goes by its area to its streets, by their length in it."""
    data, lines = known
    grid = data.grid
    x, y = grid.centres_m()
    half = grid.cell_size_m / 2
    cells = shapely.box(x - half, y - half, x + half, y + half)
    line, cell = shapely.STRtree(cells).query(lines, "intersects")
    length_m = shapely.length(shapely.intersection(cells[cell], lines[line]))
    in_cell = np.maximum(np.bincount(cell, length_m, len(cells)), 1e-9)
    share = length_m * (grid.area_km2 / grid.area_km2.sum() / in_cell)[cell]
    expected = np.bincount(line, share, len(lines))
    hits = np.zeros(len(PERCENTS))
    for origin_s in origins_of(data):
        test = nearest(lines, data.incidents.between(origin_s, origin_s + 28 * DAY_S))
        hits += [metre_by_metre(expected, lines, test, percent) for percent in PERCENTS]
    rows = run.result["streets"]["models"]["uniform"]["cells"]
    # Sums of floats rank equally dense streets by their last bits: a street more or less.
    assert [row["hits"] for row in rows] == pytest.approx(hits.tolist(), abs=4)


def on_streets(lines, incidents):
    found = nearest(lines, incidents)
    return found[found >= 0]


def origins_of(data):
    return [data.cutoff_s - 56 * DAY_S, data.cutoff_s - 28 * DAY_S]


def test_differences_are_those_of_the_hits(run):
    found = run.result["streets"]
    assert set(found["models"]) == set(MODELS)
    for name, scores in found["models"].items():
        for k, row in enumerate(scores["all_hours"]):
            for rival, rows in (("counts", found["counts"]), ("cells", scores["cells"])):
                gap = row["differences"][rival]
                assert gap["hits"] == pytest.approx(row["hits"] - rows[k]["hits"], abs=2e-3)
                assert gap["lo"] <= gap["hits"] <= gap["hi"]
        assert [row["percent"] for row in scores["by_hour"]] == list(PERCENTS)
        same = name != "window-kde"
        assert (
            [row["hits"] for row in scores["by_hour"]]
            == [row["hits"] for row in scores["all_hours"]]
        ) == same
    # Which street it is says more than which cell.
    prior = found["models"]["prior-counts"]
    assert prior["all_hours"][1]["differences"]["cells"]["lo"] > 0


def test_the_table_and_the_report_say_it(run):
    console = Console(width=200, record=True)
    console.print(streets_table(run.result["streets"]))
    text = console.export_text()
    row = run.result["streets"]["models"]["prior-counts"]["all_hours"][1]
    assert f"{100 * row['share']:.1f} %" in text
    assert "{hits:+.0f} [{lo:+.0f}, {hi:+.0f}]".format(**row["differences"]["counts"]) in text
    assert "last year's counts" in text
    page = html_report(run.result)
    assert f"{100 * row['share']:.1f} % [{100 * row['share_lo']:.1f} %" in page
    assert "each hour&#x27;s own" in page


@pytest.mark.slow
def test_another_layer_or_none_later_changes_no_old_result(client, engine, settings, run):
    path = f"/v1/regions/town/backtests/{run.id}"
    before = client.get(path).json()["result"]
    assert before["streets"]["layer"] == client.get("/v1/regions/town/streets").json()["digest"]
    other = store_streets(client, drawn(400.0))
    again = run_now(engine, settings, "town", REQUEST, quiet).result["streets"]
    assert (again["layer"], again["n_segments"]) == (other["digest"], other["n_segments"])
    assert again["length_km"] == pytest.approx(other["length_km"], abs=1e-3)
    assert again["counts"] != before["streets"]["counts"]
    assert client.get(path).json()["result"] == before
    assert client.delete("/v1/regions/town/streets").status_code == 204
    assert client.get(path).json()["result"] == before
    assert "streets" not in run_now(engine, settings, "town", REQUEST, quiet).result


def test_what_was_stored_with_another_layer_is_not_taken_up(tmp_path, engine, known):
    data, _ = known
    protocol = Protocol(("prior-counts",), (origins_of(data)[1],), 28)
    layer = layer_of_blocks(200.0)
    streets = street_tests(layer, "one", data.grid, data.incidents, protocol, 0)
    result = fit_and_score(data.incidents, data.grid, task := task_of(protocol), protocol, streets)

    def stored(key):
        return TaskStore(tmp_path, data.incidents, data.grid, protocol, key)

    stored(streets.key).save(result)
    again = stored(streets.key).load(task)
    for kind, parts in result.streets.items():
        np.testing.assert_array_equal(again.streets[kind], parts)
    for other in (replace(streets, digest="other"), replace(streets, minimum=9)):
        assert stored(other.key).load(task) is None
    assert stored("").load(task) is None
    plain = fit_and_score(data.incidents, data.grid, task, protocol)
    stored("").save(plain)
    assert stored("").load(task).streets is None


def task_of(protocol):
    return Task(protocol.models[0], protocol.origins_s[0], 0)


def layer_of_blocks(block_m):
    import io

    from app.readers.files.streets import street_items
    from app.streets.layer import layer_of

    area = synthetic_city().area
    asked = {"boundary": area.to_geojson(), "crs": area.crs}
    *blocks, _ = street_items(io.BytesIO(drawn(block_m).encode()), asked)
    return layer_of(blocks, area.crs)


def test_streets_do_not_see_the_future(known):
    """Whatever happens after the origin, shares and counts stay what they were."""
    data, _ = known
    origin_s = origins_of(data)[0]
    layer = layer_of_blocks(400.0)
    past = data.incidents.before(origin_s)
    protocol = Protocol(("uniform",), (origin_s,), 28)
    all_known = street_tests(layer, "", data.grid, data.incidents, protocol, 0)
    then = street_tests(layer, "", data.grid, past, protocol, 0)
    one, other = all_known.by_origin[origin_s], then.by_origin[origin_s]
    assert len(one.segment) > len(other.segment) == 0
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.shares.toarray(), other.shares.toarray())
    # Known late: what happened in the week before the origin counts for nothing.
    late = replace(protocol, refresh="daily", delay_days=7)
    delayed = street_tests(layer, "", data.grid, data.incidents, late, 0).by_origin[origin_s]
    week = data.incidents.between(origin_s - 7 * DAY_S, origin_s)
    year_ago = data.incidents.between(origin_s - 372 * DAY_S, origin_s - 365 * DAY_S)
    assert one.counts.sum() - delayed.counts.sum() <= len(week) - len(year_ago)
    assert one.counts.sum() > delayed.counts.sum()


def test_other_workers_get_the_same_streets(known):
    data, _ = known
    protocol = Protocol(("prior-counts",), origins_of(data), 28)
    streets = street_tests(layer_of_blocks(200.0), "one", data.grid, data.incidents, protocol, 3)
    content = pack_inputs(Inputs(data.incidents, data.grid, protocol, streets))
    found = unpack_inputs(content, plan_digest(content))
    assert pack_inputs(found) == content
    assert found.streets.key == streets.key
    assert found.streets.by_origin.keys() == streets.by_origin.keys()
    task = task_of(protocol)
    ours = fit_and_score(data.incidents, data.grid, task, protocol, streets)
    (theirs,) = fit_unit(found, task)
    for kind, parts in ours.streets.items():
        np.testing.assert_array_equal(theirs.streets[kind], parts)


@pytest.mark.slow
def test_a_shared_backtest_scores_streets_alike(client, engine, settings, town, without):
    store_streets(client, drawn(200.0))  # whatever layer another test has left
    alone = run_now(engine, settings, town, REQUEST, quiet)
    shared = run_claimed(engine, settings, "backtest", claimed(engine, settings, town, REQUEST))
    assert shared.status == "succeeded", shared.message
    assert "streets" in shared.result
    assert lasting(shared.result) == lasting(alone.result)


def test_streets_outside_all_cells_catch_nothing(known):
    data, _ = known
    layer = layer_of_blocks(400.0)
    away = replace(layer, place=layer.place + np.array([20_000_000, 0], np.int32))
    protocol = Protocol(("uniform",), (origins_of(data)[1],), 28)
    streets = street_tests(away, "", data.grid, data.incidents, protocol, 0)
    task = task_of(protocol)
    result = fit_and_score(data.incidents, data.grid, task, protocol, streets)
    found = streets_json([result], data.incidents, data.grid, protocol, streets)
    assert found["n_off_streets"] == found["n"] > 0
    assert {row["hits"] for row in found["models"]["uniform"]["all_hours"]} == {0.0}


@pytest.mark.slow
def test_readers_see_streets_of_released_periods_in_whole_incidents(engine, settings, place):
    drawn_there = json.dumps(synthetic_streets(study_area_from_geojson(BOX), 150.0))
    store_streets(place.client, drawn_there, "small", **place.headers("admin"))
    origins = [(START.replace(day=day)).isoformat() for day in (11, 21)]
    request = {"origins": origins, "horizon_days": 7, "models": ["prior-counts"]}
    unreleased, run = backtest(engine, settings, place, "analyst", **request)
    assert "streets" not in unreleased
    exact = place("analyst", "GET", f"/backtests/{run['id']}").json()["result"]["streets"]
    assert 0 < exact["n_off_streets"] < 9, "those at the edge, beyond the last street"
    assert any(row["hits"] % 1 for row in exact["counts"])
    shown, _ = backtest(engine, settings, place, "trainer", **request)
    streets = shown["streets"]
    assert streets["n"] == shown["n"] >= 40
    assert streets["n_off_streets"] is None
    for row in (*streets["counts"], *streets["models"]["prior-counts"]["all_hours"]):
        assert row["hits"] % 1 == 0
        assert all(gap["lo"] % 1 == 0 for gap in row.get("differences", {}).values())


def test_a_hidden_origin_is_not_in_what_readers_see_of_streets():
    from app.releases.disclosure import released_result

    provenance = {"request": {"release": 3}}
    whole = {"n": 30, "streets": {"n": 30}, "refresh": {}, "provenance": provenance}
    assert released_result({**whole, "released": None})["streets"] == {"n": 30}
    assert released_result({**whole, "released": {"n": 20, "streets": {"n": 20}}})["streets"] == {
        "n": 20
    }
    nothing = released_result({**whole, "released": {}})
    assert "streets" not in nothing
    assert "refresh" not in nothing
