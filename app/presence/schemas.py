"""Replies of `/v1/regions/{region}/presence`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.http.schemas import Feature, FeatureCollection, Names, Reply, one_feature

_RING = [[-79.382, 43.654], [-79.379, 43.654], [-79.379, 43.657], [-79.382, 43.654]]
_POLYGON = {"type": "Polygon", "coordinates": [_RING]}
_STAY = {
    "from": "2026-01-09T22:00:00-05:00",
    "to": "2026-01-09T22:30:00-05:00",
    "activity": "foot patrol",
    "unit": "car 3",
}


class PresenceError(Reply):
    """Why a row was rejected."""

    row: int = Field(examples=[3])
    field: str = Field(examples=["to"])
    code: str = Field(examples=["bad_interval"])
    message: str = Field(examples=["to must be later than from"])


class PresenceReply(Reply):
    """What became of the rows; received = accepted + duplicates + rejected."""

    received: int = Field(examples=[12])
    accepted: int = Field(examples=[10])
    duplicates: int = Field(examples=[1])
    rejected: int = Field(examples=[1])
    errors: list[PresenceError]
    ignored: Names = Field(description="members that are not stored", examples=[["officer"]])


class PresencePage(FeatureCollection):
    """A page of the log in order of time: polygons with what was done there, from when to when."""

    features: list[Feature] = Field(examples=[one_feature(_POLYGON, **_STAY)])
    next: str | None = Field(description="URL of the following page", examples=[None])


class PresenceErased(Reply):
    """How many rows were erased."""

    erased: int = Field(examples=[12])


class ExposureCells(Reply):
    """Arrays of equal length: cells in which somebody was."""

    id: list[int] = Field(examples=[[5935]])
    longitude: list[float] = Field(examples=[[-79.38009]])
    latitude: list[float] = Field(examples=[[43.655401]])
    unit_hours: list[float] = Field(examples=[[3.5]])


class ExposureReply(Reply):
    """Hours of presence in a period, by cell of the version that serves."""

    region: str = Field(examples=["toronto"])
    start: str = Field(serialization_alias="from", examples=["2026-01-05T00:00:00-05:00"])
    end: str = Field(serialization_alias="to", examples=["2026-01-12T00:00:00-05:00"])
    model_version: str = Field(examples=["stack-20220101T050000Z-0c4cc6f7d471dba589"])
    rows: int = Field(examples=[42])
    unit_hours: float = Field(examples=[61.5])
    unit_hours_inside: float = Field(description="of these, inside the study area", examples=[61.0])
    cells: ExposureCells
    warnings: list[dict[str, Any]] = Field(examples=[[{"code": "presence_no_proof"}]])
