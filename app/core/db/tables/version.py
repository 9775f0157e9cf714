"""Tables of model versions: artifacts, grids, forecasts, and which version serves."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata, of_region, of_version

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    created_at(),
)

grids = Table(
    "grids",
    metadata,
    # Content-addressed: versions fitted on the same cells share one row.
    Column("sha256", Text, primary_key=True),
    Column("crs", Text, nullable=False),
    Column("x0_m", Double, nullable=False),
    Column("y0_m", Double, nullable=False),
    Column("cell_size_m", Double, nullable=False),
    Column("nx", Integer, nullable=False),
    Column("ny", Integer, nullable=False),
    # Little-endian int64 ids and float64 areas in km2.
    Column("cell_id", LargeBinary, nullable=False),
    Column("area_km2", LargeBinary, nullable=False),
    Column("boundary", JSONB, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    of_region(primary_key=True),
    Column("version", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("artifact_sha256", ForeignKey("artifacts.sha256"), nullable=False),
    Column("grid_sha256", ForeignKey("grids.sha256"), nullable=False),
    # No cascade: the seal covers the run's id, so the run may not be deleted.
    Column("run_id", ForeignKey("training_runs.id")),
    Column("data_hash", Text, nullable=False),
    Column("n_incidents", Integer, nullable=False),
    Column("cutoff", DateTime(timezone=True), nullable=False),
    Column("seed", BigInteger, nullable=False),
    # Category names, in the order of the grids' category codes.
    Column("categories", JSONB, nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("provenance", JSONB, nullable=False),
    Column("report", JSONB, nullable=False),
    Column("scores", JSONB, nullable=False),
    # Parameters of the count model: small, needed by every reply.
    Column("counts", JSONB, nullable=False),
    Column("gate", JSONB, nullable=False, server_default=text("'{}'")),
    created_at(),
    # Binds the rows of forecast_grids; the seal binds the whole row: see app/registry/integrity.py.
    Column("forecasts_sha256", Text, nullable=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("seal", LargeBinary, nullable=False),
    Index("ix_model_versions_region_created", "region_key", "created_at"),
    Index("ix_model_versions_run", "run_id"),
)

outdated_versions = Table(
    "outdated_versions",
    metadata,
    # Versions of the region's former area, CRS or time zone; a table of its own, since rows of
    # versions are sealed.
    *of_version(),
    Column("changed", Text, nullable=False),
    created_at(),
)

forecast_grids = Table(
    "forecast_grids",
    metadata,
    *of_version(),
    # -1: all categories; otherwise the position in model_versions.categories.
    Column("category_code", SmallInteger, primary_key=True),
    # -1: the same density in all windows.
    Column("window", SmallInteger, primary_key=True),
    # Little-endian float32 probabilities of the grid's cells, in the order of their ids.
    Column("cell_values", LargeBinary, nullable=False),
    # Binds the values to their place: see app/registry/integrity.py.
    Column("digest", LargeBinary, nullable=False),
)

champions = Table(
    "champions",
    metadata,
    of_region(primary_key=True),
    Column("version", Text, nullable=False),
    # Compare-and-set: a promotion names the revision it replaces.
    Column("revision", Integer, nullable=False),
    Column("promoted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["region_key", "version"], ["model_versions.region_key", "model_versions.version"]
    ),
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    of_region(),
    Column("version", Text, nullable=False),
    Column("previous_version", Text),
    Column("reason", Text, nullable=False),
    Column("action", Text, nullable=False, server_default=text("'promoted'")),
    # The last incident known then; what came later judges the promotion.
    Column("data_until", DateTime(timezone=True)),
    created_at(),
    CheckConstraint("action IN ('promoted', 'rolled_back')", name="action"),
    Index("ix_promotions_region_id", "region_key", "id"),
)
