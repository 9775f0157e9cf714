"""JSON of every form gives the rows that were written, in blocks of any size."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.readers.blocks import ReadOptions
from app.readers.columns.mapping import ColumnMapping
from app.readers.files.json_rows import read_geojson, read_json, read_ndjson
from app.readers.limits import MAX_ROW_VALUES

ROW = st.fixed_dictionaries(
    {
        "occurred_at": st.text(max_size=5),
        "longitude": st.integers(-180, 180),
        "latitude": st.floats(-90, 90),
    },
    optional={"category": st.one_of(st.none(), st.text(max_size=5))},
)
ROWS = st.lists(ROW, min_size=1, max_size=8)
SIZES = st.integers(1, 9), st.integers(1, 60)


def read(reader, body, n_rows=50_000, chunk=1 << 20, **mapping):
    options = ReadOptions(n_rows=n_rows, mapping=ColumnMapping(**mapping))
    return list(reader(iter([body[i : i + chunk] for i in range(0, len(body), chunk)]), options))


def rows_of(blocks):
    names = ("occurred_at", "longitude", "latitude", "category")
    return [
        {name: block.columns.get(name, [None] * block.n_rows)[i] for name in names}
        for block in blocks
        for i in range(block.n_rows)
    ]


@settings(max_examples=50)
@given(ROWS, *SIZES)
def test_every_form_gives_the_same_rows(rows, n_rows, chunk):
    expected = [{"category": None, **row} for row in rows]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]},
            "properties": {k: v for k, v in row.items() if k in ("occurred_at", "category")},
        }
        for row in rows
    ]
    forms = (
        (read_json, json.dumps(rows)),
        (read_json, json.dumps({"meta": {"n": len(rows)}, "results": rows}, indent=1)),
        (read_ndjson, "\n".join(json.dumps(row) for row in rows)),
        (read_geojson, json.dumps({"type": "FeatureCollection", "features": features})),
    )
    for reader, text in forms:
        blocks = read(reader, text.encode(), n_rows, chunk)
        assert rows_of(blocks) == expected
        assert all(block.n_rows <= n_rows for block in blocks)


def test_nested_values_that_a_mapping_names_are_read():
    rows = [
        {"occurred_at": "x", "place": {"p": {"lon": 1}, "lat": 2}},
        {"occurred_at": "y", "place": None},
    ]
    columns = {"longitude": "place.p.lon", "latitude": "place.lat"}
    (block,) = read(read_json, json.dumps(rows).encode(), columns=columns)
    assert (block.columns["longitude"], block.columns["latitude"]) == ([1, None], [2, None])


@given(st.lists(st.sampled_from(["row", "number", "list", "null", "many"]), min_size=1, max_size=6))
def test_items_that_are_no_rows_are_broken_alone(kinds):
    row = {"occurred_at": "x", "longitude": 1, "latitude": 2}
    many = {"occurred_at": "x", "n": list(range(3 * MAX_ROW_VALUES))}
    made = {"row": row, "number": 5, "list": [1], "null": None, "many": many}
    items = [made["row"], *(made[kind] for kind in kinds)]
    expected = [False, *(kind != "row" for kind in kinds)]
    (block,) = read(read_json, json.dumps(items).encode())
    assert [i in block.broken for i in range(block.n_rows)] == expected
    (block,) = read(read_ndjson, "\n".join(map(json.dumps, items)).encode())
    assert [i in block.broken for i in range(block.n_rows)] == expected


@given(
    st.binary(max_size=60), st.sampled_from([b"", b"[", b'[{"occurred_at": 1, ', b'{"features": ['])
)
def test_no_bytes_fail_but_by_name(body, start):
    for reader in (read_json, read_geojson, read_ndjson):
        try:
            blocks = read(reader, start + body)
        except InvalidInput:
            continue
        assert all(len(values) == b.n_rows for b in blocks for values in b.columns.values())


def test_nesting_beyond_any_depth_is_refused():
    with pytest.raises(InvalidInput) as caught:
        read(read_json, b"[" * 200_000)
    assert caught.value.code == "bad_json"


def test_esri_rows_without_geometry_have_their_dates_beside_mapped_places():
    head = {
        "geometryType": "esriGeometryPoint",
        "fields": [{"name": "occurred_at", "type": "esriFieldTypeDate"}],
    }
    features = [{"attributes": {"occurred_at": 0, "lon": 1, "lat": 2}}]
    body = json.dumps({**head, "features": features}).encode()
    (block,) = read(read_geojson, body, columns={"longitude": "lon", "latitude": "lat"})
    assert rows_of([block]) == [
        {"occurred_at": "1970-01-01T00:00:00Z", "longitude": 1, "latitude": 2, "category": None}
    ]
    assert block.no_place == {}
