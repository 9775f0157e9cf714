"""Layers are stored, listed, replaced and removed with their region."""

import json

import pytest

from app.core.errors import InvalidInput, LimitExceeded, NotFound
from app.readers.isolated import reading_limits
from app.region_edits.removal import remove_region
from app.regions import layers as module
from app.regions.layer_store import list_layers, read_layer
from app.regions.layers import remove_layer, set_layer
from app.regions.service import add_region
from app.regions.store import get_region
from tests.support.simulated.town import halves

BEATS = {"type": "FeatureCollection", "features": halves()}


@pytest.fixture(scope="module")
def place(engine) -> str:
    both = {"type": "FeatureCollection", "features": halves()}
    return add_region(engine, "place", timezone="America/Bogota", boundary=both).id


@pytest.fixture
def put(engine, settings, place):
    def store(given, name="beats", region=place, **more):
        content = [given if isinstance(given, bytes) else json.dumps(given).encode()]
        return set_layer(engine, region, name, content, reading_limits(settings), **more)

    return store


def listed(engine, region="place") -> list[tuple[str, int]]:
    with engine.connect() as connection:
        found = list_layers(connection, get_region(connection, region))
    return [(one.name, one.n_areas) for one in found]


def test_what_is_shown_may_be_stored_again_unchanged(engine, put, place):
    first = put(BEATS)
    again = put(first.features)
    assert (again.sha256, again.created_at) == (first.sha256, first.created_at)
    assert [f["properties"] for f in first.features["features"]] == [
        {"name": "west"}, {"name": "east"},
    ]  # fmt: skip
    assert listed(engine) == [("neighbourhoods", 2), ("beats", 2)]
    one = {**BEATS, "features": BEATS["features"][:1]}
    assert put(one).n_areas == 1
    remove_layer(engine, place, "beats")
    assert listed(engine) == [("neighbourhoods", 2)]
    with pytest.raises(NotFound):
        remove_layer(engine, place, "beats")


def test_neighbourhoods_are_read_as_a_layer_but_come_with_the_boundary(engine, put, place):
    with engine.connect() as connection:
        found = read_layer(connection, get_region(connection, place), "neighbourhoods")
    assert [f["properties"]["name"] for f in found.features["features"]] == ["west", "east"]
    with pytest.raises(InvalidInput, match="come with the boundary"):
        put(BEATS, "neighbourhoods")


def test_a_region_takes_its_layers_along(engine, put):
    add_region(engine, "short", timezone="America/Bogota")
    put(BEATS, region="short")
    remove_region(engine, "short", "short")
    add_region(engine, "short", timezone="America/Bogota")
    assert listed(engine, "short") == []


def test_what_cannot_be_stored_is_refused(engine, put, monkeypatch):
    far = json.loads(json.dumps(BEATS).replace("-74.", "-94."))
    for given, name, says in (
        (BEATS, "Beats!", "a layer's name"),
        (far, "far", "touches place"),
        (b"{", "broken", "not JSON"),
    ):
        with pytest.raises(InvalidInput, match=says):
            put(given, name)
    with pytest.raises(NotFound):
        put(BEATS, region="nowhere")
    monkeypatch.setattr(module, "MAX_LAYER_BYTES", 100)
    with pytest.raises(LimitExceeded, match="at most 100 bytes"):
        put(BEATS)
    monkeypatch.setattr(module, "MAX_LAYERS", 0)
    with pytest.raises(LimitExceeded, match="the limit is 0"):
        put(BEATS)
    assert listed(engine) == [("neighbourhoods", 2)]
