"""One real PostgreSQL for the whole run, a fresh database for every module that asks."""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    # Test processes run side by side: more threads than cores make small fits ten times slower.
    os.environ.setdefault(_name, "1")

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from app.core.db.engine import open_engine
from app.core.db.schema import migrate
from app.core.devserver.server import ensure_running, release
from app.core.roles import sees_unreleased
from app.core.settings import Settings
from app.geo.synthetic import TIMEZONE, synthetic_city
from app.incidents.service import ingest_file
from app.regions.service import add_region

collect_ignore = ["rehearsal", "resilience", "support"]
"""`make rehearse`, `make drills`, and what tests import."""

# Tests call services as the command line does; requests to the API say what they may see themselves.
sees_unreleased.set(True)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory):
    home = tmp_path_factory.mktemp("home")
    yield ensure_running(home)
    release(home)


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


@pytest.fixture(scope="module")
def settings(server_url: str, tmp_path_factory: pytest.TempPathFactory):
    """Settings on a database of this module's own, migrated."""
    with own_database(server_url, tmp_path_factory.mktemp("work")) as made:
        yield made


@pytest.fixture(scope="module")
def engine(settings: Settings):
    opened = open_engine(settings)
    yield opened
    opened.dispose()


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


@pytest.fixture(scope="module")
def town_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of the synthetic city, 14 incidents a day."""
    return draw_town(tmp_path_factory.mktemp("data") / "town.csv")


@pytest.fixture(scope="module")
def town(engine, settings: Settings, town_csv: Path) -> str:
    """A region with the synthetic city's boundary and incidents."""
    return add_town(engine, settings, town_csv)
