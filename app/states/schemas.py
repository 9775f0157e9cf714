"""Replies of `/v1/regions/{region}/state`."""

from __future__ import annotations

from pydantic import Field

from app.http.schemas import Instant, Reply, Version


class StateReply(Reply):
    """How far the served version is up to date."""

    version: Version
    state: str = Field(
        description="number of the version's last state; frozen: it serves as trained",
        examples=["7"],
    )
    data_until: Instant = Field(description="forecasts stand on what happened before")
    assimilated_incidents: int = Field(
        description="incidents since the training that it stands on", examples=[412]
    )
    assimilated_at: Instant | None = Field(examples=["2026-01-10T04:00:12+00:00"])
