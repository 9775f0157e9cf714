"""The schema, as SQLAlchemy Core tables. Alembic's migrations create it; nothing else does.

Spatial work that SQL must do uses the projected `x_m`, `y_m` columns with ordinary indexes, so plain
PostgreSQL is enough. Times are `timestamptz` (UTC); windows are stored beside them, since the local
hour of the week is what every fit and every slot query asks for.
"""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
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
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


OPEN_RUN = "status IN ('queued', 'running')"


def created_at() -> Column[object]:
    """Return a column with the time of the insertion."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def of_version() -> ForeignKeyConstraint:
    """Return the foreign key of rows that are deleted with their model version."""
    return ForeignKeyConstraint(
        ["region_key", "version"],
        ["model_versions.region_key", "model_versions.version"],
        ondelete="CASCADE",
    )


def run_columns() -> tuple[SchemaItem, ...]:
    """Return what the tables of all kinds of runs have in common."""
    return (
        Column("id", Uuid, primary_key=True),
        Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), nullable=False),
        Column("status", Text, nullable=False, server_default=text("'queued'")),
        Column("progress", Double, nullable=False, server_default=text("0")),
        Column("message", Text, nullable=False, server_default=text("'queued'")),
        Column("request", JSONB, nullable=False),
        # Raised by each claim; a worker may write only while its own number is the newest (fencing).
        Column("attempt", Integer, nullable=False, server_default=text("0")),
        # Of these, attempts that failed by themselves; the others died with their worker.
        Column("failures", Integer, nullable=False, server_default=text("0")),
        Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
        Column("job_id", BigInteger),
        created_at(),
        Column("started_at", DateTime(timezone=True)),
        Column("heartbeat_at", DateTime(timezone=True)),
        Column("finished_at", DateTime(timezone=True)),
        CheckConstraint(
            "status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
    )


secrets = Table(
    "secrets",
    metadata,
    # Random bytes of this installation, made by the migration; no route and no command shows them.
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

regions = Table(
    "regions",
    metadata,
    Column("key", Integer, Identity(), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    # Unknown until the boundary or the first incidents say where the region lies.
    Column("crs", Text),
    Column("cell_size_m", Double, nullable=False),
    Column("boundary", JSONB),
    Column("boundary_derived", Boolean, nullable=False, server_default=text("false")),
    # Neighbourhoods of the boundary file, for reports and the map: a GeoJSON FeatureCollection.
    Column("neighbourhoods", JSONB),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'")),
    created_at(),
    # Raised when time zone, boundary or CRS change: what was read or trained before does not fit then.
    Column("revision", Integer, nullable=False, server_default=text("0")),
    # Whether a person chose the CRS; otherwise it follows the boundary or the incidents.
    Column("crs_given", Boolean, nullable=False, server_default=text("false")),
)

categories = Table(
    "categories",
    metadata,
    Column("key", Integer, Identity(), primary_key=True),
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    # What deduplication keys are made of, where it is not the name (app/incidents/parsing/spellings.py).
    Column("hashed", Text),
    UniqueConstraint("region_key", "name"),
    # What incidents refer to: with the region, their index finds those of a category.
    UniqueConstraint("region_key", "key"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), nullable=False),
    Column("idempotency_key", Text),
    Column("body_sha256", Text),
    Column("source", Text),
    # The reply to the caller, repeated verbatim to a retry with the same key.
    Column("summary", JSONB, nullable=False),
    # The first release that holds its rows (app/releases/store.py); none yet: readers see nothing of it.
    Column("release", Integer),
    Column("report", JSONB, nullable=False, server_default=text("'{}'")),
    created_at(),
    UniqueConstraint("region_key", "idempotency_key"),
    # Workers look for the last upload of every region.
    Index("ix_uploads_region", "region_key", "id"),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("longitude", Double, nullable=False),
    Column("latitude", Double, nullable=False),
    Column("x_m", REAL, nullable=False),
    Column("y_m", REAL, nullable=False),
    Column("window", SmallInteger, nullable=False),
    Column("category_key", Integer, nullable=False),
    Column("external_id", Text),
    # reported (by the public) or discovered (by patrols); see docs/responsible-use.md.
    Column("source", Text, nullable=False, server_default=text("'reported'")),
    # 128-bit hash of the feed and external id, or of the row's content where there is none; `occurrence`
    # counts equal rows of one file, so that two true incidents at one place and minute stay two.
    Column("dedup_key", Uuid, nullable=False),
    Column("occurrence", SmallInteger, nullable=False),
    Column("upload_id", ForeignKey("uploads.id", ondelete="CASCADE"), nullable=False),
    Column("inserted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # A number that several incidents may share, such as a case number.
    Column("reference", Text),
    # Who numbers incidents; NULL: the region's unnamed feed.
    Column("feed_key", Integer),
    # When the publisher last changed the record, where the file says so.
    Column("revised_at", DateTime(timezone=True)),
    UniqueConstraint("region_key", "dedup_key", "occurrence"),
    ForeignKeyConstraint(
        ["region_key", "category_key"], ["categories.region_key", "categories.key"]
    ),
    CheckConstraint('"window" >= 0 AND "window" < 168', name="window"),
    CheckConstraint("source IN ('reported', 'discovered')", name="source"),
    Index("ix_incidents_region_window_time", "region_key", "window", "occurred_at"),
    Index("ix_incidents_region_time", "region_key", "occurred_at", "id"),
    Index("ix_incidents_region_category_time", "region_key", "category_key", "occurred_at", "id"),
    # Uploads follow each other in the table, so a few kB of index locate each one's rows.
    Index(
        "ix_incidents_upload",
        "upload_id",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    ),
)

incident_history = Table(
    "incident_history",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), nullable=False),
    Column("external_id", Text),
    Column("action", Text, nullable=False),
    Column("before", JSONB, nullable=False),
    Column("incident_id", BigInteger),
    created_at(),
    CheckConstraint("action IN ('corrected', 'deleted')", name="action"),
    Index("ix_incident_history_region_external_id", "region_key", "external_id"),
    Index("ix_incident_history_incident", "region_key", "incident_id"),
)

feeds = Table(
    "feeds",
    metadata,
    Column("key", Integer, Identity(), primary_key=True),
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), nullable=False),
    # Empty: incidents of no named feed; their feed_key is NULL.
    Column("name", Text, nullable=False),
    # A column that looked like ids repeated: such columns of this feed hold references.
    Column("has_references", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("region_key", "name"),
)

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

training_runs = Table(
    "training_runs",
    metadata,
    *run_columns(),
    Column("model_version", Text),
    Column("metrics", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_training_runs_region_created", "region_key", "created_at"),
    # For the counts and the latest duration in the metrics.
    Index("ix_training_runs_region_status", "region_key", "status"),
    Index("ix_training_runs_region_finished", "region_key", "finished_at"),
    # Each worker looks every few seconds for runs that nobody works on; finished ones accumulate.
    Index("ix_training_runs_open", "region_key", postgresql_where=text(OPEN_RUN)),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), primary_key=True),
    Column("version", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("artifact_sha256", ForeignKey("artifacts.sha256"), nullable=False),
    Column("grid_sha256", ForeignKey("grids.sha256"), nullable=False),
    # A run that a version names stays: the seal covers its id.
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
    Column("region_key", Integer, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("changed", Text, nullable=False),
    created_at(),
    of_version(),
)

forecast_grids = Table(
    "forecast_grids",
    metadata,
    Column("region_key", Integer, primary_key=True),
    Column("version", Text, primary_key=True),
    # -1: all categories; otherwise the position in model_versions.categories.
    Column("category_code", SmallInteger, primary_key=True),
    # -1: the same density in all windows.
    Column("window", SmallInteger, primary_key=True),
    # Little-endian float32 probabilities of the grid's cells, in the order of their ids.
    Column("cell_values", LargeBinary, nullable=False),
    # Binds the values to their place: see app/registry/integrity.py.
    Column("digest", LargeBinary, nullable=False),
    of_version(),
)

champions = Table(
    "champions",
    metadata,
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), primary_key=True),
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
    Column("region_key", ForeignKey("regions.key", ondelete="CASCADE"), nullable=False),
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

backtests = Table(
    "backtests",
    metadata,
    *run_columns(),
    Column("result", JSONB),
    Index("ix_backtests_region_created", "region_key", "created_at"),
    Index("ix_backtests_open", "region_key", postgresql_where=text(OPEN_RUN)),
)
