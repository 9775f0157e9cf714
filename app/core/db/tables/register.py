"""Tables of the register: forecasts filed before their day, their scores, what readers see of these."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import metadata, of_region

register_entries = Table(
    "register_entries",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    of_region(),
    # The local day that the forecast is of, from starts_at until before ends_at.
    Column("day", Date, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("filed_at", DateTime(timezone=True), nullable=False),
    Column("model", Text, nullable=False),
    # No reference: the record outlives the version.
    Column("version", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("data_until", DateTime(timezone=True), nullable=False),
    Column("n_cells", Integer, nullable=False),
    Column("expected", Double, nullable=False),
    Column("expected_lo", Double, nullable=False),
    Column("expected_hi", Double, nullable=False),
    # A salt and compressed tensors, see app/register/parts.py; NULL: removed by an erasure.
    Column("forecast", LargeBinary),
    Column("rival", LargeBinary),
    # SHA-256 of these two, which stay when they go, and of all of the above; that is in the audit log too.
    Column("forecast_sha256", LargeBinary, nullable=False),
    Column("rival_sha256", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    CheckConstraint("filed_at < starts_at AND starts_at < ends_at", name="before_its_day"),
    UniqueConstraint("region_key", "day"),
)

register_scores = Table(
    "register_scores",
    metadata,
    Column("entry_id", ForeignKey("register_entries.id", ondelete="CASCADE"), primary_key=True),
    # So many days after the end of the forecast's day; a score never changes.
    Column("look_days", Integer, primary_key=True),
    Column("scored_at", DateTime(timezone=True), nullable=False),
    # JSON as text, because its digest covers every character.
    Column("score", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

register_periods = Table(
    "register_periods",
    metadata,
    of_region(primary_key=True),
    # Whole weeks, as readers see them: written once and never changed.
    Column("from_day", Date, primary_key=True),
    Column("to_day", Date, nullable=False),
    Column("figures", JSONB, nullable=False),
)
