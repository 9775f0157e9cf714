"""Replies of `/uploads/{upload}` and `/erasures`."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from app.http.schemas import Instant, Reply, Version

_RUN = Field(
    validation_alias="run_id",
    description="the training that replaces the champion",
    examples=["539610f0-9967-4cbd-8cd2-8f33ab84e18e"],
)


class UploadErasure(Reply):
    """What was erased with an upload."""

    erased: int = Field(validation_alias="n_incidents", examples=[2000])
    versions: list[Version] = Field(description="versions that remain, marked")
    versions_dropped: list[Version] = Field(
        validation_alias="dropped", description="versions of few incidents", examples=[[]]
    )
    serves: Version | None = Field(description="the champion now")
    training_run: UUID | None = _RUN


class Erasure(Reply):
    """One erasure; never what the incidents were."""

    id: int = Field(examples=[1])
    what: str = Field(examples=["upload 7"])
    incidents: int = Field(validation_alias="n_incidents", examples=[2000])
    versions: list[Version]
    versions_dropped: int
    training_run: UUID | None = _RUN
    created_at: Instant


class ErasureList(Reply):
    """All erasures of a region."""

    erasures: list[Erasure]
