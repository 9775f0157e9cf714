"""Locations of both coordinates are read back in every writing, and no text fails."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.readers.columns.locations import latitude_first, place_of, split_places, text_of_place

LON = st.floats(-180, 180).map(lambda one: round(one, 6))
LAT = st.floats(-90, 90).map(lambda one: round(one, 6))
AS_XY = (
    "POINT ({0} {1})", "point({0} {1})", "SRID=4326;POINT Z ({0} {1} 7)", "POINT ({0}, {1})",
)  # fmt: skip
AS_PAIR = ("{0}, {1}", "[{0}; {1}]", "{0} {1}", "1 Main St (5th)\n({0}, {1})", "({0}°, {1}°)")


@given(LON, LAT, st.sampled_from(AS_XY))
def test_wkt_is_read_back(lon, lat, form):
    assert place_of(form.format(lon, lat)) == ((lon, lat), True)


@given(LON, LAT, st.sampled_from(AS_PAIR))
def test_pairs_are_read_back_without_an_order(lon, lat, form):
    assert place_of(form.format(lat, lon)) == ((lat, lon), False)


@given(LON, LAT, st.sampled_from("<>"), st.sampled_from([1, 0x20000001, 1001, 0x80000001]))
def test_wkb_is_read_back(lon, lat, order, kind):
    srid = struct.pack(order + "I", 4326) if kind & 0x20000000 else b""
    more = struct.pack(order + "d", 7.0) if kind in (1001, 0x80000001) else b""
    raw = bytes([order == "<"]) + struct.pack(order + "I", kind) + srid
    text = (raw + struct.pack(order + "dd", lon, lat) + more).hex()
    assert place_of(text.upper()) == ((lon, lat), True)


@given(st.binary(min_size=21, max_size=29), st.sampled_from(["01010000", "0101000020e6100000", ""]))
def test_no_hexadecimal_text_fails(raw, start):
    text = (start + raw.hex())[: 2 * len(raw)]
    found = place_of(text)
    assert found is None or found[1] or not any(c in "abcdef" for c in text)


@given(st.text(max_size=30))
def test_no_text_fails_as_a_location(text):
    lons, lats, without = split_places([text, None, {}, 5], latitude_first=True)
    assert (lons[0] is None) == (lats[0] is None) == (0 in without)
    assert {1, 2, 3} <= set(without)


@given(st.lists(st.tuples(LON, LAT), min_size=1, max_size=6))
def test_a_number_over_90_proves_the_order(places):
    pairs = [f"{lon}, {lat}" for lon, lat in [*places, (-100.5, 39.1)]]
    assert latitude_first(pairs) is False
    assert latitude_first([f"{lat}, {lon}" for lon, lat in places]) is True
    assert latitude_first(["POINT (1 2)", None, "somewhere"]) is None
    lons, lats, _ = split_places(pairs, latitude_first=False)
    assert list(zip(lons, lats, strict=True))[:-1] == places


@pytest.mark.parametrize(
    "value",
    [
        {"latitude": "39.1", "longitude": "-84.5", "human_address": "{}"},
        {"type": "Point", "coordinates": [-84.5, 39.1]},
        {"lat": 39.1, "Lng": -84.5},
    ],
)
def test_objects_are_places(value):
    assert place_of(text_of_place(value)) == ((-84.5, 39.1), True)


@pytest.mark.slow
@given(st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=3)),
                    lambda inner: st.one_of(st.lists(inner), st.dictionaries(
                        st.sampled_from(["type", "coordinates", "lat", "lon", "x"]), inner))))  # fmt: skip
def test_no_object_fails(value):
    text = text_of_place(value)
    assert text is value or isinstance(text, str)
