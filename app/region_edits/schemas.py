"""Requests and replies of `PATCH` and `DELETE /v1/regions/{region}`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from app.http.schemas import MessageReply, Reply, Request, Version
from app.regions.schemas import BoundedRegion
from app.regions.shifts import TIME_PATTERN, ShiftName


class ShiftTimes(Request):
    """Local times of a shift; one that ends no later than it starts ends on the next day."""

    start: Annotated[str, Field(pattern=TIME_PATTERN, examples=["22:00"])]
    end: Annotated[str, Field(pattern=TIME_PATTERN, examples=["06:00"])]


class RegionChanges(Request):
    """What to correct; members that are not sent stay as they are."""

    name: Annotated[str | None, Field(max_length=200, examples=["Toronto"])] = None
    timezone: Annotated[
        str | None, Field(max_length=64, description="IANA name", examples=["America/Toronto"])
    ] = None
    boundary: Annotated[
        dict[str, Any] | None,
        Field(description="as at creation; null: derived from the incidents"),
    ] = None
    cell_size_m: Annotated[float | None, Field(allow_inf_nan=False, examples=[250.0])] = None
    crs: Annotated[
        str | None,
        Field(
            max_length=64,
            description="a projected CRS in metres; null: chosen by the boundary or the incidents",
            examples=["EPSG:32617"],
        ),
    ] = None
    shifts: Annotated[
        dict[ShiftName, ShiftTimes] | None,
        Field(
            description="those named here change; null: the defaults of all",
            examples=[{"night": {"start": "22:00", "end": "06:00"}}],
        ),
    ] = None


class ChangedRegion(BoundedRegion):
    """A region after a correction, and what became of its models."""

    changed: list[str] = Field(examples=[["timezone"]])
    shifts: dict[str, dict[str, str]] = Field(
        examples=[{"night": {"start": "22:00", "end": "06:00"}}]
    )
    versions_outdated: list[Version] = Field(
        description="versions of the former region, which serve no longer"
    )
    training_run: UUID | None = Field(
        description="the training of the region as it is now",
        examples=["539610f0-9967-4cbd-8cd2-8f33ab84e18e"],
    )
    warnings: list[MessageReply]


class RegionRemoval(Reply):
    """What was removed with a region."""

    region: str = Field(examples=["toronto"])
    incidents: int = Field(examples=[240990])
    uploads: int = Field(examples=[12])
    versions: int = Field(examples=[3])
    keys_revoked: int = Field(description="keys that were confined to this region", examples=[1])
