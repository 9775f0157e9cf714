"""One forecast in every text format: the same numbers, in eight digits."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.forecasts.plan import Selector
from app.forecasts.replies.serialisers import (
    check_no_cells,
    collection,
    csv_bytes,
    density_csv,
    density_geojson,
    density_json,
    features,
    forecast_csv,
    rounded,
)
from tests.support.simulated.made_forecasts import forecast_of, record_of, version_of


@given(
    st.lists(st.floats(1e-12, 1e12) | st.just(0.0), min_size=1, max_size=30),
    st.integers(2, 10),
    st.sampled_from([1, -1]),
)
def test_rounded_values_have_so_many_digits_and_are_the_nearest(values, digits, sign):
    found = sign * rounded(sign * np.array(values), digits)
    for value, near in zip(values, found.tolist(), strict=True):
        assert abs(near - value) <= 0.501 * 10.0 ** (1 - digits) * value
        assert len(f"{near!r}".partition("e")[0].replace(".", "").strip("0")) <= digits


def test_formats_have_the_same_cells_and_numbers():
    forecast = forecast_of()
    told = json.loads(density_json(forecast))
    cells = told["cells"]
    lines = list(csv.DictReader(io.StringIO(density_csv(forecast).decode())))
    labels = forecast.labels()
    assert list(lines[0]) == [*cells, *labels]
    said = {name: "" if value is None else value for name, value in labels.items()}
    # Every line says the same, whatever the spelling of numbers.
    same = [{name: type(value)(line[name]) for name, value in said.items()} for line in lines]
    assert same == [said] * len(lines)
    for name, column in cells.items():
        assert [float(line[name]) for line in lines] == column, name
    found = json.loads(density_geojson(forecast))
    assert [one["id"] for one in found["features"]] == cells["id"]
    for name in set(cells) - {"longitude", "latitude"}:
        assert [one["properties"][name] for one in found["features"]] == cells[name], name
    assert (found["type"], found["region"]) == ("FeatureCollection", "town")
    same = set(told) - {"cells", "generated_at"}
    assert {name: told[name] for name in same} == {name: found[name] for name in same}


def test_numbers_add_up_to_the_heading():
    told = json.loads(density_json(forecast_of(n_slots=3)))
    assert sum(told["cells"]["probability"]) == pytest.approx(1, abs=1e-7)
    assert sum(told["cells"]["expected_count"]) == pytest.approx(6.0, abs=1e-6)
    assert told["expected_total"] == 6.0
    for low, mean, high in zip(
        *(told["cells"][f"expected_count{end}"] for end in ("_lo", "", "_hi")), strict=True
    ):
        assert low <= mean <= high + 1


def test_a_box_leaves_out_cells_and_changes_no_other():
    whole = json.loads(density_json(forecast_of()))["cells"]
    middle = whole["longitude"][5], whole["latitude"][5]
    boxed = json.loads(density_json(forecast_of(bbox=(*middle, *middle))))
    assert boxed["cells"] == {name: [column[5]] for name, column in whole.items()}
    assert boxed["bbox_share"] == pytest.approx(whole["probability"][5])
    assert boxed["bbox_expected"] == pytest.approx(whole["expected_count"][5])


def test_features_take_further_columns_before_their_own():
    forecast = forecast_of()
    rows = np.array([3, 0])
    found = json.loads(b"[" + features(forecast, rows, hits=[7, 8]) + b"]")
    assert [(one["id"], one["properties"]["hits"]) for one in found] == [
        (forecast.cells.ids[3], 7),
        (forecast.cells.ids[0], 8),
    ]
    assert next(iter(found[0]["properties"])) == "hits"
    assert features(forecast, rows[:0]) == b""
    assert json.loads(collection({"a": 1}, b"")) == {
        "type": "FeatureCollection", "a": 1, "features": [],
    }  # fmt: skip


def test_csv_quotes_what_would_break_a_line():
    text = csv_bytes({"name": ['a,"b"\nc', "plain"], "n": [1, 2]}).decode()
    assert list(csv.reader(io.StringIO(text))) == [["name", "n"], ['a,"b"\nc', "1"], ["plain", "2"]]


@pytest.mark.parametrize(
    ("selector", "field"),
    [
        ({"cell_size_m": 500.0}, "cell_size_m"),
        ({"grid": "h3"}, "grid"),
        ({"resolution": 8}, "resolution"),
    ],
)
def test_a_series_without_cells_takes_no_selector_of_cells(selector, field):
    check_no_cells(Selector())
    with pytest.raises(InvalidInput, match=f"{field} needs cells=true") as refused:
        check_no_cells(Selector(**selector))
    assert refused.value.field == field


def test_a_list_as_csv_stands_alone_and_holds_no_formula():
    forecast = forecast_of(version_of(record=record_of(n_incidents=10)))
    assert forecast.warned
    columns = {"rank": [1, 2], "place": ["=1+1", None], "cells": ["-1 2", "3"]}
    lines = list(csv.DictReader(io.StringIO(forecast_csv(forecast, columns).decode())))
    assert [line["place"] for line in lines] == ["'=1+1", ""]
    assert [line["cells"] for line in lines] == ["-1 2", "3"]
    assert [line["warnings"] for line in lines] == [forecast.warned] * 2


def test_a_density_as_csv_holds_no_formula():
    forecast = forecast_of(version_of(), category="=1+1")
    lines = list(csv.DictReader(io.StringIO(density_csv(forecast).decode())))
    assert {line["category"] for line in lines} == {"'=1+1"}
