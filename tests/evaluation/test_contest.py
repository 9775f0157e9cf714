"""The contest on a stored region, and `hotslot contest`."""

from dataclasses import replace

import numpy as np
import orjson
import pytest
import shapely
from typer.testing import CliRunner

from app.cli import app
from app.core.errors import InvalidInput, NotReady
from app.evaluation.contest.execute import (
    CONTESTANTS,
    Contest,
    contest_data,
    hold_contest,
    judged_origins,
)
from app.evaluation.contest.next_cells import next_cells
from app.geo.grid import cover
from app.geo.study_area import to_degrees
from models.contest.rules import AREAS_KM2, CELL_KM2, HORIZONS_DAYS, SIDE_M, n_cells
from models.densities.prior_counts import PRIOR_DAYS
from models.units import DAY_S


@pytest.fixture(scope="module")
def data(engine, town):
    return contest_data(engine, town, Contest())


@pytest.fixture(scope="module")
def held(data):
    """A contest of two periods of 28 days."""
    return hold_contest(data, Contest(n_origins=2))


def origins_of(data):
    return [data.cutoff_s - k * 28 * DAY_S for k in (2, 1)]


def row_of(found, contestant, days, budget_km2):
    (row,) = (
        row
        for row in found["scores"]
        if (row["contestant"], row["days"], row["budget_km2"]) == (contestant, days, budget_km2)
    )
    return row


def test_the_hits_are_the_incidents_inside_the_exported_cells(data, held):
    inside, n = np.zeros(len(AREAS_KM2)), 0
    for origin_s in origins_of(data):
        before = replace(data, incidents=data.incidents.before(origin_s), cutoff_s=origin_s)
        cells = next_cells(before, Contest())
        test = data.incidents.between(origin_s, origin_s + 28 * DAY_S)
        n += len(test)
        xy = to_degrees(test.x_m.astype(float), test.y_m.astype(float), data.area.crs)
        shapes = shapely.from_geojson([orjson.dumps(f["geometry"]) for f in cells["features"]])
        for place, budget_km2 in enumerate(AREAS_KM2):
            listed = [f["properties"]["list_km2"] <= budget_km2 for f in cells["features"]]
            assert sum(listed) == n_cells()[place]
            inside[place] += shapely.contains_xy(shapely.union_all(shapes[listed]), *xy).sum()
    for place, budget_km2 in enumerate(AREAS_KM2):
        row = row_of(held, "learned", 28, budget_km2)
        assert row["n"] == n
        # A point on the common side of two cells may be counted or not once they are in degrees.
        assert row["hits"] == pytest.approx(inside[place], abs=1)
        assert row["area_km2"] == pytest.approx(n_cells()[place] * CELL_KM2)


def test_exported_cells_are_ranked_clipped_and_within_the_rules(data):
    cells = next_cells(data, Contest())
    found = [f["properties"] for f in cells["features"]]
    assert [one["rank"] for one in found] == list(range(1, len(found) + 1))
    assert len(found) == n_cells()[-1]
    assert all(one["area_km2"] <= CELL_KM2 + 1e-6 for one in found)
    expected = [one["expected_count"] for one in found]
    assert expected == sorted(expected, reverse=True)
    shapes = shapely.from_geojson([orjson.dumps(f["geometry"]) for f in cells["features"]])
    assert shapely.is_valid(shapes).all()
    outline = shapely.from_geojson(orjson.dumps(data.area.to_geojson()))
    assert shapely.area(shapely.difference(shapes, outline)).max() < 1e-12


def test_the_rival_is_last_years_fullest_squares(data, held):
    grid = cover(data.area, SIDE_M)
    hits = 0
    for origin_s in origins_of(data):
        year = data.incidents.between(origin_s - PRIOR_DAYS * DAY_S, origin_s)
        counts = np.bincount(grid.locate(year.x_m, year.y_m), minlength=len(grid))
        best = np.lexsort((-grid.area_km2, -counts))
        covered = np.cumsum(grid.area_km2[best])
        best = best[: np.searchsorted(covered, AREAS_KM2[0] * (1 + 1e-9), side="right")]
        test = data.incidents.between(origin_s, origin_s + 28 * DAY_S)
        hits += np.isin(grid.locate(test.x_m, test.y_m), best).sum()
    assert row_of(held, "prior-counts", 28, AREAS_KM2[0])["hits"] == hits


def test_all_contestants_are_judged_on_the_same_incidents(data, held):
    assert len(held["origins"]) == 2
    assert {row["days"] for row in held["scores"]} == {7, 14, 28, 56}
    for days, periods in ((7, 2), (14, 2), (28, 2), (56, 1)):
        for budget_km2 in AREAS_KM2:
            rows = [row_of(held, name, days, budget_km2) for name in CONTESTANTS]
            assert len({row["n"] for row in rows}) == 1
            assert {row["periods"] for row in rows} == {periods}
            for row in rows:
                assert row["difference"]["hits"] == pytest.approx(row["hits"] - rows[1]["hits"])
                assert row["hits"] <= row["best_hits"]
                area_share = row["area_km2"] / data.area.area_km2
                assert row["pai"] == pytest.approx(row["hits"] / row["n"] / area_share)
                assert row["pei"] == pytest.approx(row["hits"] / row["best_hits"], rel=1e-5)


def test_periods_do_not_overlap():
    origins = [k * 28 * DAY_S for k in range(13)]
    end_s = 13 * 28 * DAY_S
    for days in HORIZONS_DAYS:
        judged = judged_origins(origins, days, end_s)
        assert judged[-1] + days * DAY_S <= end_s
        assert (np.diff(judged) >= days * DAY_S).all()
        assert len(judged) == 13 * 28 // max(28, -(-days // 28) * 28)


def test_a_contest_needs_a_past(data):
    with pytest.raises(NotReady, match="ask for fewer periods"):
        hold_contest(data, Contest(n_origins=104))


@pytest.fixture
def run(settings, town, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())

    def done(*words: str):
        given = ["contest", town, "--n-origins", "1", "--one-grid", *words]
        return CliRunner().invoke(app, given, catch_exceptions=False)

    return done


def test_the_command_prints_and_writes_what_was_found(run, held, tmp_path):
    result, out = tmp_path / "result.json", tmp_path / "cells.geojson"
    printed = run("--json", str(result), "--out", str(out))
    assert printed.exit_code == 0, printed.output
    written = orjson.loads(result.read_bytes())
    assert written["origins"] == held["origins"][1:]
    assert written["one_grid"]
    for row in written["scores"]:
        assert f"{row['pai']:.3g} [{row['pai_lo']:.3g}, {row['pai_hi']:.3g}]" in printed.stdout
    cells = orjson.loads(out.read_bytes())
    assert cells["from"] == written["end"]
    assert f"{len(cells['features'])} cells from {cells['from']} on" in printed.stdout


def test_cells_in_another_format_are_refused(run, tmp_path):
    with pytest.raises(InvalidInput, match=r"GeoJSON, got cells\.shp"):
        run("--out", str(tmp_path / "cells.shp"))


def test_a_category_alone(engine, town, data):
    alone = contest_data(engine, town, Contest(categories=("theft",)))
    code = data.categories.index("theft")
    assert len(alone.incidents) == (data.incidents.category == code).sum() > 0
