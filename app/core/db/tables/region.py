"""Tables of regions, and the secrets of the installation."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Identity,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata, of_region

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
    # Raised when time zone, boundary or CRS change: earlier reads and trainings no longer fit.
    Column("revision", Integer, nullable=False, server_default=text("0")),
    # Whether a person chose the CRS; otherwise it follows the boundary or the incidents.
    Column("crs_given", Boolean, nullable=False, server_default=text("false")),
)

categories = Table(
    "categories",
    metadata,
    Column("key", Integer, Identity(), primary_key=True),
    of_region(),
    Column("name", Text, nullable=False),
    # Hashed into deduplication keys in place of the name (app/incidents/parsing/spellings.py).
    Column("hashed", Text),
    UniqueConstraint("region_key", "name"),
    # Referenced by incidents together with the region.
    UniqueConstraint("region_key", "key"),
)

region_layers = Table(
    "region_layers",
    metadata,
    of_region(primary_key=True),
    Column("name", Text, primary_key=True),
    # A GeoJSON FeatureCollection of polygons (WGS 84), one feature an area, with its name alone.
    Column("features", JSONB, nullable=False),
    Column("n_areas", Integer, nullable=False),
    # Of the features: caches of what was computed with them are known by it.
    Column("sha256", Text, nullable=False),
    created_at(),
)
