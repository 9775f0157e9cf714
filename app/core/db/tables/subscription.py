"""Tables of pushing: who is sent which forecasts, and each delivery until retention ends."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata, of_region

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("key", Integer, Identity(), primary_key=True),
    of_region(),
    Column("name", Text, nullable=False),
    Column("spec", JSONB, nullable=False),
    # Who added it: it stops when this key ends.
    Column("owner", Text, nullable=False),
    # Occasion of the state that served when it was added, which is not sent.
    Column("baseline", Text),
    # Of webhooks: the secret is derived from it and a key that is not in the database.
    Column("salt", LargeBinary),
    # Of the secret, by which a changed key is noticed.
    Column("secret_sha256", LargeBinary),
    Column("previous_salt", LargeBinary),
    Column("previous_until", DateTime(timezone=True)),
    created_at(),
    UniqueConstraint("region_key", "name"),
)

deliveries = Table(
    "deliveries",
    metadata,
    # Sent with it, and the same at each attempt: receivers recognise a repetition by it.
    Column("id", Uuid, primary_key=True),
    of_region(),
    Column("subscription_key", ForeignKey("subscriptions.key", ondelete="CASCADE"), nullable=False),
    Column("occasion", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # The next attempt; while one is made, when it counts as lost with its process.
    Column("next_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Version, state and hours of the first attempt, which later ones repeat.
    Column("forecast", JSONB(none_as_null=True)),
    # Why the last attempt failed: a message.
    Column("failure", JSONB(none_as_null=True)),
    created_at(),
    Column("ended_at", DateTime(timezone=True)),
    UniqueConstraint("subscription_key", "occasion"),
    CheckConstraint("status IN ('waiting', 'delivered', 'dead')", name="status"),
    Index("ix_deliveries_subscription_created", "subscription_key", "created_at"),
    Index("ix_deliveries_waiting", "next_at", postgresql_where=text("status = 'waiting'")),
)
