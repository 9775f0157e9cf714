"""Tables of incidents: uploads, what they brought, and what it replaced."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata, of_region

feeds = Table(
    "feeds",
    metadata,
    Column("key", Integer, Identity(), primary_key=True),
    of_region(),
    # Empty: incidents of no named feed; their feed_key is NULL.
    Column("name", Text, nullable=False),
    # A column that looked like ids repeated: such columns of this feed hold references.
    Column("has_references", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("region_key", "name"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    of_region(),
    Column("idempotency_key", Text),
    Column("body_sha256", Text),
    Column("source", Text),
    # The reply to the caller, repeated verbatim to a retry with the same key.
    Column("summary", JSONB, nullable=False),
    # The first release with its rows (app/releases/store.py); NULL: not released to readers yet.
    Column("release", Integer),
    Column("report", JSONB, nullable=False, server_default=text("'{}'")),
    created_at(),
    UniqueConstraint("region_key", "idempotency_key"),
    # Incidents refer to it; workers look for the last upload of every region.
    UniqueConstraint("region_key", "id"),
)

# Statements name the region, so that PostgreSQL reads one partition (docs/decisions.md).
incidents = Table(
    "incidents",
    metadata,
    Column("id", BigInteger, nullable=False, server_default=text("nextval('incident_ids')")),
    of_region(),
    # The start, where the incident has an interval.
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
    Column("upload_id", BigInteger, nullable=False),
    Column("inserted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # A number that incidents may share, such as a case number.
    Column("reference", Text),
    # The feed that assigns the ids; NULL: the region's unnamed feed.
    Column("feed_key", Integer),
    # When the publisher last changed the record, where the file says so.
    Column("revised_at", DateTime(timezone=True)),
    # The exclusive end of an interval; NULL: the incident occurred at `occurred_at`.
    Column("occurred_to", DateTime(timezone=True)),
    PrimaryKeyConstraint("region_key", "id"),
    UniqueConstraint("region_key", "dedup_key", "occurrence"),
    ForeignKeyConstraint(
        ["region_key", "category_key"], ["categories.region_key", "categories.key"]
    ),
    ForeignKeyConstraint(
        ["region_key", "upload_id"], ["uploads.region_key", "uploads.id"], ondelete="CASCADE"
    ),
    CheckConstraint('"window" >= 0 AND "window" < 168', name="window"),
    CheckConstraint("source IN ('reported', 'discovered')", name="source"),
    CheckConstraint("occurred_to > occurred_at", name="interval"),
    Index("ix_incidents_region_window_time", "region_key", "window", "occurred_at"),
    Index("ix_incidents_region_time", "region_key", "occurred_at", "id"),
    Index("ix_incidents_region_category_time", "region_key", "category_key", "occurred_at", "id"),
    # What began before a span and lasts into it; it is empty where all incidents are instants.
    Index(
        "ix_incidents_intervals",
        "region_key",
        "occurred_at",
        "id",
        "occurred_to",
        postgresql_where=text("occurred_to IS NOT NULL"),
    ),
    # For erasures; external ids are found by their keys.
    Index(
        "ix_incidents_reference",
        "region_key",
        "reference",
        postgresql_where=text("reference IS NOT NULL"),
    ),
    # Uploads follow each other in the table, so a few kB of index locate each one's rows.
    Index(
        "ix_incidents_upload",
        "upload_id",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    ),
    postgresql_partition_by="HASH (region_key)",
)

# One row while the incidents of an older database are being copied (app/core/db/partitions.py).
incident_copy = Table(
    "incident_copy",
    metadata,
    Column("stage", Text, nullable=False, server_default=text("'copying'")),
    # Where the copy, or the comparison after it, goes on.
    Column("region", Integer, nullable=False, server_default=text("0")),
    Column(
        "after_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("'0001-01-01 00:00:00+00'"),
    ),
    Column("after_id", BigInteger, nullable=False, server_default=text("0")),
    Column("copied", BigInteger, nullable=False, server_default=text("0")),
    # Estimated at the start.
    Column("total", BigInteger, nullable=False),
    CheckConstraint(
        "stage IN ('copying', 'comparing', 'swapping', 'dropping', 'differs')", name="stage"
    ),
)

incident_history = Table(
    "incident_history",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    of_region(),
    Column("external_id", Text),
    Column("action", Text, nullable=False),
    Column("before", JSONB, nullable=False),
    Column("incident_id", BigInteger),
    created_at(),
    CheckConstraint("action IN ('corrected', 'deleted')", name="action"),
    Index("ix_incident_history_region_external_id", "region_key", "external_id"),
    Index("ix_incident_history_incident", "region_key", "incident_id"),
)
