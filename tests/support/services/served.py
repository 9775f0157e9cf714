"""A city with registered versions whose densities are known, behind the real application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.fitting.data import TrainingData, load_training_data
from app.fitting.hourly_counts import fit_counts
from app.geo.synthetic import synthetic_city
from app.main import create_app
from app.regions.store import get_region
from app.registry import store as registry
from app.registry.artifacts import pack, store_artifact, store_grid
from app.registry.champions import promote
from app.registry.version_registration import register_version
from models.base import CategoryDensity
from tests.support.services.serving import listening

OLD = datetime(2019, 12, 1, tzinfo=UTC)
NEW = datetime(2019, 12, 25, tzinfo=UTC)


@dataclass
class Served:
    """The application, its database, and what is registered there for region `town`."""

    client: TestClient
    engine: Engine
    data: TrainingData
    tables: np.ndarray
    """(168, N) true probabilities: model `truth`; `old` has another order of windows."""
    own: CategoryDensity
    """What category 1 changes about `tables`."""

    @property
    def grid(self):
        return self.data.grid


def register(engine, data, model, cutoff, tables, *, champion=False, tensors=None, counts=None):
    """Register tables (code -> (W, N)) as a version of a model; fit its counts if they are not given."""
    header = {"model": model, "cutoff": cutoff.isoformat()}
    content, sha256 = pack(header, tensors or {"x": np.zeros(1)})
    with engine.begin() as connection:
        store_artifact(connection, content, sha256)
        new = registry.NewVersion(
            region_key=data.region.key,
            version=f"{model}-{cutoff:%Y%m%d}-{sha256[:10]}",
            model=model,
            artifact_sha256=sha256,
            grid_sha256=store_grid(connection, data.grid, data.area.to_geojson()),
            run_id=None,
            data_hash=data.data_hash,
            n_incidents=len(data.incidents),
            cutoff=cutoff,
            seed=0,
            categories=data.categories,
            settings={},
            provenance={},
            report={},
            scores={},
            counts=counts or fit_counts(data).state(),
            gate={},
        )
        record = register_version(connection, new, tables)
        if champion:
            promote(connection, data.region.key, record.version, "test")
    return record.version


@pytest.fixture(scope="module")
def served(engine, settings, town):
    with engine.connect() as connection:
        key = get_region(connection, town).key
    data = load_training_data(engine, key, until=NEW)
    truth = synthetic_city().cell_probability(data.grid)
    counts = fit_counts(data).state()
    register(engine, data, "truth", OLD, {-1: np.roll(truth, 5, axis=0)}, counts=counts)
    own = CategoryDensity(np.random.default_rng(5).gamma(2.0, size=truth.shape[1]), 0.25 * truth[4])
    tables = {-1: truth, 1: np.stack([own.ratio, own.fixed])}
    register(engine, data, "truth", NEW, tables, champion=True, counts=counts)
    flat = {-1: truth.mean(axis=0, keepdims=True)}
    register(engine, data, "flat", NEW, flat, counts=counts)
    with TestClient(create_app(settings, engine)) as client:
        yield Served(client, engine, data, truth, own)


@pytest.fixture(scope="module")
def address(served, settings, engine):
    """The application behind a real server."""
    with listening(create_app(settings, engine)) as url:
        yield url
