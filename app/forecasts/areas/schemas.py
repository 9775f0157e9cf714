"""The body and the replies of `/v1/regions/{region}/forecasts/areas`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.forecasts.plan import Selector
from app.forecasts.schemas import GEOMETRY_EXAMPLE, Heading
from app.http.parameters import MAX_KINDS, Moment, ShortText
from app.http.schemas import Feature, FeatureCollection, Request, one_feature
from app.states.store import STATE_PATTERN

_LINE = {"type": "LineString", "coordinates": [[-79.3807, 43.6487], [-79.3778, 43.6493]]}
_AREA: dict[str, Any] = {
    "name": "D11",
    "area_km2": 21.3,
    "share_inside_study_area": 1.0,
    "probability": 0.041,
    "density_per_km2": 0.00192,
    "expected_count": 0.181,
    "expected_count_lo": 0,
    "expected_count_hi": 1,
}


class AreasRequest(Request):
    """Areas to sum up, and which forecast."""

    model_config = ConfigDict(populate_by_name=True)

    areas: Annotated[
        dict[str, Any],
        Field(
            description="GeoJSON FeatureCollection of polygons, lines or points, WGS 84",
            examples=[
                {
                    "type": "FeatureCollection",
                    "features": one_feature(_LINE, name="King Street"),
                }
            ],
        ),
    ]
    buffer_m: Annotated[
        float, Field(gt=0, le=5000, allow_inf_nan=False, description="of lines and points")
    ] = 50.0
    at: Annotated[Moment | None, Field(examples=["2026-01-10T23:00"])] = None
    window: Annotated[int | None, Field(ge=0, le=167)] = None
    start: Annotated[Moment | None, Field(alias="from")] = None
    end: Annotated[Moment | None, Field(alias="to")] = None
    category: Annotated[
        ShortText | Annotated[list[ShortText], Field(min_length=1, max_length=MAX_KINDS)] | None,
        Field(description="a category, an alias of one, or a group; or a list to sum up"),
    ] = None
    model: Annotated[str | None, Field(max_length=200)] = None
    as_of: Moment | None = None
    state: Annotated[str | None, Field(max_length=20, pattern=STATE_PATTERN)] = None

    def selector(self) -> Selector:
        """Select the forecast."""
        given = self.model_dump(exclude={"areas", "buffer_m"})
        if isinstance(self.category, list):
            given["category"] = tuple(self.category)
        return Selector(**given)

    def features(self) -> list[Any]:
        """List the GeoJSON features; empty where there are none."""
        if self.areas.get("type") == "Feature":
            return [self.areas]
        found = self.areas.get("features")
        return found if isinstance(found, list) else []


class AreasReply(Heading, FeatureCollection):
    """The areas as given, each with its forecast among the properties."""

    n_areas: int = Field(examples=[1])


class LayerAreasReply(AreasReply):
    """The areas of a layer, each with its forecast."""

    features: list[Feature] = Field(examples=[one_feature(GEOMETRY_EXAMPLE, **_AREA)])
    layer: str = Field(examples=["beats"])
