"""Replies of `/v1/regions/{region}/streets`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.http.schemas import Feature, FeatureCollection, Instant, Reply, one_feature

_LINE = {"type": "LineString", "coordinates": [[-79.3807, 43.6487], [-79.3778, 43.6493]]}


class LeftOut(Reply):
    """How many features of the file are no part of the layer."""

    not_lines: int = Field(examples=[0])
    not_streets: int = Field(
        description="footways, railways and so on of extracts of OpenStreetMap", examples=[18211]
    )
    outside: int = Field(description="outside the study area", examples=[120])


class StreetsReply(Reply):
    """What is known of a region's streets."""

    region: str = Field(examples=["toronto"])
    digest: str = Field(description="changes with the layer", examples=["3a7bd3e2360a3d29"])
    n_segments: int = Field(description="between junctions", examples=[59814])
    n_named: int = Field(examples=[58120])
    length_km: float = Field(examples=[9050.3])
    left_out: LeftOut
    stored_at: Instant
    study_area_changed: bool = Field(
        description="whether the region's study area has changed since: send the file again",
        examples=[False],
    )


class StreetFeatures(FeatureCollection):
    """Segments between junctions, each with its name and length."""

    features: list[Feature] = Field(
        examples=[one_feature(_LINE, name="Front Street", length_m=243.1)]
    )


class StreetLines(Reply):
    """Lines to draw: differences of whole numbers, some kilobytes for a town."""

    digest: str = Field(examples=["3a7bd3e2360a3d29"])
    tolerance_m: float = Field(description="lines are simplified by at most this", examples=[8.0])
    units: float = Field(description="degrees of one unit", examples=[1e-5])
    names: list[str] = Field(examples=[["Front Street"]])
    lines: list[list[int]] = Field(
        description="row of `names` or -1; longitude and latitude of the first vertex; then the steps from "
        "vertex to vertex",
        examples=[[[0, -7938070, 4364870, 290, 60]]],
    )


def facts_json(region: str, facts: Any, *, changed: bool) -> dict[str, Any]:
    """Return the members of `StreetsReply`."""
    return {
        "region": region,
        "digest": facts.digest,
        **facts.facts,
        "stored_at": facts.created_at,
        "study_area_changed": changed,
    }
