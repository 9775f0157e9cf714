"""`hotslot evaluate` says what the service says."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest
import shapely
from typer.testing import CliRunner

from app.cli import app
from app.cli.evaluation.evaluations import NAMES
from app.core.errors import InvalidInput
from tests.support.services.served import NEW, served

__all__ = ["served"]
PERIOD = ["--from", NEW.isoformat(), "--to", (NEW + timedelta(days=7)).isoformat()]


@pytest.fixture
def run(served, settings, monkeypatch):
    monkeypatch.setenv("HOTSLOT_DATABASE_URL", settings.database_url.get_secret_value())

    def done(file, *words: str):
        given = ["evaluate", "town", str(file), *PERIOD, *words]
        return CliRunner().invoke(app, given, catch_exceptions=False)

    return done


def test_a_file_of_places_is_judged(run, served, tmp_path):
    shapes = served.grid.polygons_degrees(served.tables.mean(0).argsort()[-9:-3])
    features = [
        {"type": "Feature", "properties": {}, "geometry": orjson.loads(shapely.to_geojson(one))}
        for one in shapes
    ]
    places = {"type": "FeatureCollection", "features": features}
    file, result = tmp_path / "places.geojson", tmp_path / "result.json"
    file.write_bytes(orjson.dumps(places))
    told = run(file, "--json", str(result))
    assert told.exit_code == 0, told.output
    period = {"from": PERIOD[1], "to": PERIOD[3]}
    reply = served.client.post("/v1/regions/town/evaluations", json={"areas": places, **period})
    total = reply.json()["total"]
    assert orjson.loads(result.read_bytes())["total"]["own"].items() <= total["own"].items()
    for name, label in NAMES.items():
        line = next(line for line in told.stdout.splitlines() if label in line)
        assert f" {total[name]['hits']:g} " in line
        assert f"{total[name]['pai']:.3g} [" in line


def test_a_file_without_places_is_refused(run, tmp_path):
    file = tmp_path / "places.geojson"
    for content, match in ((b"{", "is not JSON"), (b'{"features": []}', "no GeoJSON features")):
        file.write_bytes(content)
        with pytest.raises(InvalidInput, match=match):
            run(file)
