"""A fresh database, and the region `town`: the synthetic city with a year of incidents."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.geo.study_area import to_degrees
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.regions.service import add_region


@contextmanager
def own_database(server_url: str, home: Path) -> Iterator[Settings]:
    """Settings on a fresh database, migrated; it is gone afterwards."""
    name = f"t{uuid.uuid4().hex[:12]}"
    admin = open_engine(Settings(database_url=SecretStr(server_url)))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    made = Settings(
        home=home,
        database_url=SecretStr(url),
        training_threads=1,
        allowed_hosts=["testserver"],
    )
    engine = open_engine(made)
    migrate(engine)
    engine.dispose()
    yield made
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def draw_town(path: Path) -> Path:
    """A file with a year of the synthetic city, 14 incidents a day."""
    frame = synthetic_city().draw(365, 14, seed=3)
    frame["occurred_at"] = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    frame.to_csv(path, index=False)
    return path


def add_town(engine: Engine, settings: Settings, csv: Path) -> str:
    """Add the region `town`: the synthetic city's boundary and the file's incidents."""
    boundary = json.loads(json.dumps(synthetic_city().area.to_geojson()))
    add_region(engine, "town", timezone=TIMEZONE, boundary=boundary, cell_size_m=500.0)
    ingest_file(engine, "town", csv, settings=settings)
    return "town"


def halves():
    """Return two neighbourhoods, the west and the east half of the synthetic city's box."""
    city = synthetic_city()
    west, south, east, north = city.area.polygon_m.bounds
    middle = (west + east) / 2

    def feature(name, x0, x1):
        x, y = [x0, x1, x1, x0, x0], [south, south, north, north, south]
        ring = np.column_stack(to_degrees(np.array(x), np.array(y), city.area.crs)).tolist()
        return {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    return [feature("west", west, middle), feature("east", middle, east)]
