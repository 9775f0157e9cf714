"""Tables of access and audit: API keys and the append-only log."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("roles", JSONB, nullable=False),
    # Region ids that the key is confined to; SQL NULL means all.
    Column("regions", JSONB(none_as_null=True)),
    Column("rate_per_s", Double),
    Column("secret_sha256", Text, nullable=False),
    # After a rotation the old secret remains valid for a while.
    Column("previous_sha256", Text),
    Column("previous_until", DateTime(timezone=True)),
    created_at(),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
)

audit_log = Table(
    "audit_log",
    metadata,
    # A chain for each region, and one for what concerns the whole service.
    Column("chain", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    # Canonical JSON as text, because its bytes are hashed.
    Column("details", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("seq > 0", name="seq"),
    Index("ix_audit_log_at", "at"),
)

audit_heads = Table(
    "audit_heads",
    metadata,
    # Its lock serialises the chain; it must agree with the chain's last entry.
    Column("chain", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)
