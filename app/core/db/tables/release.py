"""Tables of the ledger of releases, the steps in which readers see a region's incidents."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, DateTime, Double, Integer, Table, text
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata, of_region, of_version

releases = Table(
    "releases",
    metadata,
    of_region(primary_key=True),
    # 1, 2, 3, ...; an upload's `release` is the first one that holds its rows.
    Column("seq", Integer, primary_key=True),
    # Holds the released uploads' incidents before this instant.
    Column("until", DateTime(timezone=True), nullable=False),
    # Null once an erasure has taken incidents out of it.
    Column("n_incidents", Integer),
    # Incidents by category and the first one's day; only for the last release made at a time.
    Column("categories", JSONB(none_as_null=True)),
    Column("first_day", Date),
    # Whether a reader may have seen anything made from it; then it no longer changes.
    Column("used", Boolean, nullable=False, server_default=text("false")),
    created_at(),
)

release_groups = Table(
    "release_groups",
    metadata,
    of_region(primary_key=True),
    # The release that incidents came with, and the number of the instant they happened before.
    Column("seq", Integer, primary_key=True),
    Column("block", Integer, primary_key=True),
    # Reported incidents when readers first saw them; null once a few of them were corrected or erased.
    Column("n", Integer),
)

released_scores = Table(
    "released_scores",
    metadata,
    *of_version(),
    # Local dates: written once when the period is over and never changed.
    Column("from_day", Date, primary_key=True),
    Column("to_day", Date, nullable=False),
    Column("n", Integer, nullable=False),
    Column("log_density_sum", Double, nullable=False),
    Column("expected_sum", Double, nullable=False),
)

withheld_versions = Table(
    "withheld_versions",
    metadata,
    # A table of its own, since the rows of versions are sealed.
    *of_version(),
)
