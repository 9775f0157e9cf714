"""Two champions of the region `town`, one after the other, and their rows put back after damage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from app.core.db.tables import metadata
from app.regions.store import get_region
from app.registry.champions import promote
from app.training.service import TrainingRequest
from app.worker.jobs import run_now

KEYS = {"model_versions": "version", "grids": "sha256", "artifacts": "sha256"}


@pytest.fixture(scope="module")
def versions(engine, settings, town) -> list[str]:
    """Return the names of two champions, of models that fit in a moment; the second serves."""
    names = []
    for model in ("uniform", "pooled-kde"):
        request = TrainingRequest(model=model, validate=False)
        run = run_now(engine, settings, town, request, lambda _share, _message: None)
        names.append(run.model_version)
    with engine.begin() as connection:
        promote(connection, get_region(connection, town).key, names[1], "newer")
    return names


@contextmanager
def put_back(engine: Engine) -> Iterator[None]:
    """Restore records, forecasts, grids and artifacts of all versions when the block ends."""
    with engine.begin() as connection:
        for name in (*KEYS, "forecast_grids"):
            connection.execute(text(f"CREATE TABLE saved_{name} AS TABLE {name}"))
    try:
        yield
    finally:
        with engine.begin() as connection:
            for name, key in KEYS.items():
                columns = [column.name for column in metadata.tables[name].c]
                named = ", ".join(f'"{c}"' for c in columns)
                saved = ", ".join(f's."{c}"' for c in columns)
                connection.execute(
                    text(
                        f"UPDATE {name} t SET ({named}) = ROW({saved}) FROM saved_{name} s"
                        f" WHERE s.{key} = t.{key}"
                    )
                )
            connection.execute(text("DELETE FROM forecast_grids"))
            connection.execute(
                text("INSERT INTO forecast_grids SELECT * FROM saved_forecast_grids")
            )
            for name in (*KEYS, "forecast_grids"):
                connection.execute(text(f"DROP TABLE saved_{name}"))
