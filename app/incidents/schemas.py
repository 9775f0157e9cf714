"""Requests and replies of `/v1/regions/{region}/incidents` and `/mappings`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from app.http.parameters import ShortText
from app.http.schemas import (
    Feature,
    FeatureCollection,
    MessageReply,
    Reply,
    Request,
    example_of,
    one_feature,
)

_POINT = {"type": "Point", "coordinates": [-74.06, 4.65]}


class IncidentPage(FeatureCollection):
    """A page of incidents as points, in order of time."""

    features: list[Feature] = Field(
        examples=[one_feature(_POINT, occurred_at="2024-01-05T23:10:00-05:00", category="theft")]
    )
    next: str | None = Field(description="URL of the following page", examples=[None])


class RowError(Reply):
    """Why a row was rejected."""

    row: int | None = Field(examples=[3])
    field: str | None = Field(examples=["latitude"])
    code: str = Field(examples=["looks_swapped"])
    params: dict[str, Any] = Field(examples=[{}])
    message: str = Field(examples=["longitude and latitude look swapped"])


class UploadReply(Reply):
    """What became of an upload: received = accepted + duplicates + rejected."""

    received: int = Field(examples=[3])
    accepted: int = Field(examples=[2])
    duplicates: int = Field(examples=[0])
    rejected: int = Field(examples=[1])
    errors: list[RowError]
    corrected: int = Field(examples=[0])
    rejected_by_code: dict[str, int] = Field(examples=[{"looks_swapped": 1}])
    warnings: list[MessageReply]
    upload_id: int | None = Field(examples=[3])


_COLUMNS = {"occurred_at": "DATE+TIME", "category": "OFFENSE"}


class Mapping(Request):
    """How a source's columns are to be read."""

    columns: dict[ShortText, ShortText] = Field(
        default={}, max_length=20, description="{field: column}", examples=[_COLUMNS]
    )
    crs: Annotated[
        str | None, Field(max_length=64, description="of projected x, y", examples=["EPSG:26910"])
    ] = None
    time_format: Annotated[
        str | None, Field(max_length=60, description="as strptime", examples=["%m/%d/%Y %H:%M"])
    ] = None


class MappingReply(Reply):
    """A stored mapping."""

    columns: dict[str, str] = Field(examples=[_COLUMNS])
    crs: str | None = Field(examples=["EPSG:26910"])
    time_format: str | None = Field(examples=["%m/%d/%Y %H:%M"])


class MappingList(Reply):
    """A region's mappings by name."""

    mappings: dict[str, MappingReply] = Field(examples=[{"portal": example_of(MappingReply)}])
