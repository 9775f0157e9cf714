"""Filters by a layer of areas, and zones that stay inside one."""

import json

import numpy as np
import pytest
import shapely

from app.forecasts.areas.layers import NONE, Inside, owners_of
from app.geo.overlaps import CellIndex
from app.geo.study_area import shape_in_degrees

BASE = "/v1/regions/town"
AT = {"at": "2019-12-30T23:00"}


def ask(served, what, status=200, **params):
    reply = served.client.get(f"{BASE}/forecasts/{what}", params={**AT, **params})
    assert reply.status_code == status, reply.text
    return reply.json() if params.get("f") in (None, "geojson") else reply.text


def brute(served, shapes_m) -> dict[int, str]:
    """{cell: its area} by measuring every cell against every area."""
    found = {}
    for row, cell in enumerate(served.grid.cell_id.tolist()):
        own = shapely.intersection(
            served.grid.squares_m(np.array([row]))[0], served.data.area.polygon_m
        )
        parts = shapely.area(shapely.intersection(own, shapes_m))
        if parts.sum() >= own.area / 2:
            found[cell] = f"B{int(np.argmax(parts))}"
    return found


def test_cells_belong_to_the_area_that_covers_most_of_them(served, beats):
    owners = brute(served, beats)
    assert 0.5 < len(owners) / len(served.grid) < 0.9
    for area in ("B0", "B3"):
        body = ask(served, "density", inside=f"beats:{area}")
        assert body["cells"]["id"] == [cell for cell, own in owners.items() if own == area]
        assert body["inside"] == {"layer": "beats", "area": area}
        assert body["inside_share"] == pytest.approx(sum(body["cells"]["probability"]), rel=1e-6)
        flagged = ask(served, "hotspots", inside=f"beats:{area}", n_cells=3)["features"]
        best = np.argsort(body["cells"]["probability"])[::-1][:3]
        assert [f["id"] for f in flagged] == [body["cells"]["id"][i] for i in best]


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3, 6])
@pytest.mark.parametrize("more", [{}, {"inside": "beats:B2"}, {"compactness": 0}])
def test_zones_stay_inside_one_area(served, beats, n, more):
    owners = brute(served, beats)
    body = ask(served, "zones", n=n, max_km2=4, within="beats", **more)
    assert body["within"] == "beats"
    assert 1 <= len(body["features"]) <= n
    for feature in body["features"]:
        about = feature["properties"]
        assert {owners[cell] for cell in about["cells"]} == {about["area"]}
        assert about["area"] == "B2" or "inside" not in more
    free = ask(served, "zones", n=n, max_km2=4, **more)
    assert body["share_of_incidents_expected"] <= free["share_of_incidents_expected"] * 1.03


@pytest.mark.slow
def test_zones_stay_inside_also_on_other_cells(served, beats):
    for cells in ({"cell_size_m": 800}, {"grid": "h3", "resolution": 8}):
        body = ask(served, "zones", max_km2=6, within="beats", **cells)
        for feature in body["features"]:
            area = int(feature["properties"]["area"][1:])
            zone = shapely.geometry.shape(feature["geometry"])
            shapes = [shape_in_degrees(one, served.grid.crs) for one in beats]
            parts = shapely.area(shapely.intersection(zone, shapes))
            assert int(np.argmax(parts)) == area


def test_a_replaced_layer_is_used_at_once_and_a_removed_one_no_more(served, beats):
    def store(names):
        parts = [
            {
                "type": "Feature",
                "properties": {"name": name},
                "geometry": shapely.geometry.mapping(shape_in_degrees(one, served.grid.crs)),
            }
            for name, one in zip(names, beats, strict=False)
        ]
        body = json.dumps({"type": "FeatureCollection", "features": parts})
        put = {"content": body, "headers": {"Content-Type": "application/json"}}
        assert served.client.put(f"{BASE}/layers/wards", **put).status_code == 200

    store("ab")
    first = ask(served, "density", inside="wards:a")["cells"]["id"]
    store("ba")
    assert ask(served, "density", inside="wards:b")["cells"]["id"] == first
    assert ask(served, "density", inside="wards:a")["cells"]["id"] != first
    assert served.client.delete(f"{BASE}/layers/wards").status_code == 204
    assert ask(served, "density", 404, inside="wards:b")["code"] == "no_layer"
    assert [one["name"] for one in served.client.get(BASE).json()["layers"]] == ["beats"]


@pytest.mark.parametrize(
    ("what", "params", "status", "code"),
    [
        ("density", {"inside": "beats"}, 422, "invalid_input"),
        ("density", {"inside": "beats:B9"}, 404, "no_area"),
        ("hotspots", {"inside": "nothing:B1"}, 404, "no_layer"),
        ("zones", {"within": "nothing"}, 404, "no_layer"),
        ("areas", {"layer": "nothing"}, 404, "no_layer"),
        ("hotspots", {"inside": "beats:B1", "bbox": "10,10,11,11"}, 422, "invalid_input"),
    ],
)
def test_what_is_not_there_is_refused(served, beats, what, params, status, code):
    assert ask(served, what, status, **params)["code"] == code


def test_owners_divide_the_cells():
    rng = np.random.default_rng(1)
    for _ in range(50):
        n, n_areas = 6, 4
        part_km2 = rng.integers(0, 3, (n, n_areas)) / 4
        source, target = np.nonzero(part_km2)
        pieces = type("Pieces", (), {})()
        pieces.source, pieces.target, pieces.area_km2 = source, target, part_km2[source, target]
        owner = owners_of(pieces, np.ones(n), n_areas)
        for cell in range(n):
            covered = part_km2[cell].sum() >= 0.5
            assert owner[cell] == (np.argmax(part_km2[cell]) if covered else NONE)


def test_an_area_may_have_a_colon_in_its_name():
    assert Inside.parse("beats:D11: north") == Inside("beats", "D11: north")


def test_no_cell_in_a_tiny_area_is_told(served):
    index = CellIndex(served.data.area, served.grid)
    x_m, y_m = served.grid.centres_m()
    speck = np.array([shapely.box(x_m[0], y_m[0], x_m[0] + 10, y_m[0] + 10)])
    assert (owners_of(index.overlap(speck), served.grid.area_km2, 1) == NONE).all()
