"""A fresh database, and the region `town`: the synthetic city with a year of incidents."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
from psycopg.sql import SQL
from pydantic import SecretStr
from sqlalchemy import Engine, make_url

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.settings import Settings
from app.geo.study_area import to_degrees
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.regions.service import add_region

_templates: dict[str, str] = {}
"""For each server a migrated database: a copy takes a quarter of the time of the migrations."""


@contextmanager
def own_database(server_url: str, home: Path) -> Iterator[Settings]:
    """Settings on a fresh database, migrated; it is gone afterwards."""
    with _administrator(server_url) as execute:
        name = _new_name()
        if server_url not in _templates:
            _templates[server_url] = _migrated(server_url, home)
        execute(f"CREATE DATABASE {name} TEMPLATE {_templates[server_url]}")
        yield _settings_on(server_url, name, home)
        execute(f"DROP DATABASE {name} WITH (FORCE)")


def _migrated(server_url: str, home: Path) -> str:
    """Return the name of a new database that has only been migrated."""
    name = _new_name()
    with _administrator(server_url) as execute:
        # This server's files are thrown away: nothing needs to survive a power failure.
        execute("ALTER SYSTEM SET fsync = off")
        execute("SELECT pg_reload_conf()")
        execute(f"CREATE DATABASE {name}")
    engine = open_engine(_settings_on(server_url, name, home))
    migrate(engine)
    engine.dispose()
    return name


@contextmanager
def _administrator(server_url: str) -> Iterator[Callable[[str], object]]:
    with psycopg.connect(server_url, autocommit=True) as connection:
        yield lambda statement: connection.execute(SQL(statement))


def _new_name() -> str:
    return f"t{uuid.uuid4().hex[:12]}"


def _settings_on(server_url: str, database: str, home: Path) -> Settings:
    url = make_url(server_url).set(database=database).render_as_string(hide_password=False)
    return Settings(
        home=home,
        database_url=SecretStr(url),
        training_threads=1,
        database_timeout_s=30.0,  # a machine may stand still for longer than the default
        allowed_hosts=["testserver"],
    )


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
