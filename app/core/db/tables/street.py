"""Tables of streets: a region's layer, and how versions share their cells' incidents among segments."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata, of_region, of_version

street_layers = Table(
    "street_layers",
    metadata,
    of_region(primary_key=True),
    # SHA-256 of the content, which is made by app/streets/layer.py.
    Column("digest", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    # Of the study area that the lines were cut to.
    Column("area_digest", Text, nullable=False),
    # Number of segments, of names, length, and how many lines were left out, and why.
    Column("facts", JSONB, nullable=False),
    created_at(),
)

street_shares = Table(
    "street_shares",
    metadata,
    *of_version(),
    # The layer whose segments these are.
    Column("layer_digest", Text, primary_key=True),
    Column("n_incidents", Integer, nullable=False),
    Column("bandwidth_m", Double),
    # A sparse matrix, segments x cells: see app/streets/store.py.
    Column("content", LargeBinary, nullable=False),
    created_at(),
)
