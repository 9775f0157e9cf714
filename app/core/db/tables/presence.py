"""The table of the presence log."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from app.core.db.tables.base import metadata, of_region

presence = Table(
    "presence",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    of_region(),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=False),
    # Polygons in degrees as WKB: cells and areas are stored as their outlines, which no training changes.
    Column("shape", LargeBinary, nullable=False),
    Column("activity", Text, nullable=False),
    Column("unit", Text),
    # SHA-256 of all that was sent of the row: one that is sent again adds nothing.
    Column("digest", LargeBinary, nullable=False),
    Column("inserted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("ended_at > started_at", name="interval"),
    UniqueConstraint("region_key", "digest"),
    Index("ix_presence_region_started", "region_key", "started_at", "id"),
)
