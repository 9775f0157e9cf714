"""Table of the states of versions: what has arrived since their training."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, LargeBinary, Table
from sqlalchemy.dialects.postgresql import JSONB

from app.core.db.tables.base import created_at, metadata, of_version

forecast_states = Table(
    "forecast_states",
    metadata,
    *of_version(),
    # Unique in the installation: never used again, even if an erasure removes the state.
    Column("number", BigInteger, Identity(), primary_key=True),
    # The last release that it includes, and the instant of that release.
    Column("release", Integer, nullable=False),
    Column("data_until", DateTime(timezone=True), nullable=False),
    # Incidents since the version's cutoff that it includes.
    Column("n_incidents", Integer, nullable=False),
    # Parameters of the updated count model.
    Column("counts", JSONB, nullable=False),
    # safetensors: memories (K,) in days and fields (K, N), see models/densities/state.py.
    Column("fields", LargeBinary, nullable=False),
    # Binds all of the above: see app/states/store.py.
    Column("digest", LargeBinary, nullable=False),
    created_at(),
)
