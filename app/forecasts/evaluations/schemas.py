"""Requests and replies of `/v1/regions/{region}/evaluations`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from app.forecasts.evaluations.places import MAX_CELLS
from app.forecasts.evaluations.service import MAX_PERIODS, Question
from app.http import schemas
from app.http.parameters import MAX_KINDS, Moment, ShortText
from app.http.schemas import Instant, MessageReply, Reply, Version, one_feature

_RING = [[-79.39, 43.65], [-79.38, 43.65], [-79.38, 43.66], [-79.39, 43.66], [-79.39, 43.65]]
_PLACE = {"type": "Polygon", "coordinates": [_RING]}


class Period(schemas.Request):
    """A past period; times without an offset are local to the region."""

    model_config = ConfigDict(populate_by_name=True)

    start: Annotated[Moment, Field(alias="from", examples=["2021-12-01"])]
    end: Annotated[Moment, Field(alias="to", examples=["2021-12-29"])]


class EvaluationRequest(schemas.Request):
    """Places and the past periods to judge them on: `from` and `to`, or `periods`."""

    model_config = ConfigDict(populate_by_name=True)

    areas: Annotated[
        dict[str, Any] | None,
        Field(
            description="GeoJSON FeatureCollection of polygons, WGS 84",
            examples=[{"type": "FeatureCollection", "features": one_feature(_PLACE, name="A")}],
        ),
    ] = None
    cells: Annotated[
        list[Annotated[int, Field(ge=0, lt=2**53)]] | None,
        Field(
            max_length=MAX_CELLS,
            description="instead of areas: ids of the served version's own cells",
        ),
    ] = None
    start: Annotated[Moment | None, Field(alias="from", examples=["2021-12-01"])] = None
    end: Annotated[Moment | None, Field(alias="to", examples=["2021-12-29"])] = None
    periods: Annotated[list[Period] | None, Field(min_length=1, max_length=MAX_PERIODS)] = None
    category: Annotated[
        ShortText | Annotated[list[ShortText], Field(min_length=1, max_length=MAX_KINDS)] | None,
        Field(description="a category, an alias of one, or a group; or a list of them"),
    ] = None
    model: Annotated[
        str | None, Field(max_length=200, description="instead of the served model")
    ] = None

    @model_validator(mode="after")
    def _has_one_kind_of_period(self) -> Self:
        one = self.start is not None and self.end is not None
        partial = (self.start is None) != (self.end is None)
        if partial or one == (self.periods is not None):
            raise ValueError("give from and to, or periods")
        if (self.areas is None) == (not self.cells):
            raise ValueError("give areas or cells")
        return self

    def question(self) -> Question:
        """Return what is asked."""
        spans = [(one.start, one.end) for one in self.periods or ()]
        if self.start is not None and self.end is not None:
            spans.append((self.start, self.end))
        features = None
        if self.areas is not None:
            found = self.areas.get("features")
            single = [self.areas] if self.areas.get("type") == "Feature" else []
            features = found if isinstance(found, list) else single
        categories = (self.category,) if isinstance(self.category, str) else self.category
        return Question(
            tuple(spans), features, self.cells or (), tuple(categories or ()), self.model
        )


class ListReply(Reply):
    """What a list of places caught; `_lo` and `_hi` are the ends of 95 % intervals."""

    n: int = Field(examples=[2123], description="incidents of the period in the study area")
    hits: float = Field(examples=[356], description="of them in the list")
    area_km2: float = Field(examples=[0.625])
    area_share: float = Field(examples=[0.00098])
    best_hits: float = Field(
        examples=[452], description="at most so many would cells of the same area have caught"
    )
    share: float | None = Field(examples=[0.168])
    share_lo: float | None = Field(examples=[0.152])
    share_hi: float | None = Field(examples=[0.184])
    pai: float | None = Field(examples=[171.1], description="share / area_share")
    pai_lo: float | None = Field(examples=[155.2])
    pai_hi: float | None = Field(examples=[188.1])
    pei: float | None = Field(examples=[0.788], description="hits / best_hits")
    pei_lo: float | None = Field(examples=[0.715])
    pei_hi: float | None = Field(examples=[0.866])
    rri: float | None = Field(
        examples=[0.93], description="share / the list's share in the year before the period"
    )
    rri_lo: float | None = Field(examples=[0.84])
    rri_hi: float | None = Field(examples=[1.02])
    n_cells: int | None = Field(default=None, examples=[10])


class ForecastListReply(ListReply):
    """The best cells of a version that knew nothing of the period."""

    model_version: Version | None = None
    data_until: Instant | None = None


class Gap(Reply):
    """Hits of one's own places minus those of a list, with a 95 % interval."""

    hits: float = Field(examples=[-12])
    lo: float = Field(examples=[-31.2])
    hi: float = Field(examples=[8.1])


class Gaps(Reply):
    """Differences from the other lists; null where there is no list."""

    champion: Gap | None
    prior_counts: Gap | None


class Lists(Reply):
    """One's own places beside cells of the same area: forecast before the period, and last year's fullest."""

    own: ListReply
    champion: ForecastListReply | None
    prior_counts: ListReply
    differences: Gaps


class PeriodReply(Lists):
    """The lists on one period."""

    start: Instant = Field(serialization_alias="from", validation_alias="from")
    end: Instant = Field(serialization_alias="to", validation_alias="to")
    presence: dict[str, Any] | None = Field(
        default=None,
        description="unit hours of presence in the places and elsewhere, if the log has rows of the period",
    )
    notes: list[MessageReply] = Field(default=[], examples=[[]])


class EvaluationReply(Reply):
    """Places of one's own on past periods."""

    region: str = Field(examples=["toronto"])
    model: str = Field(examples=["stack"])
    category: str | None = Field(examples=["Assault"])
    cell_size_m: float = Field(examples=[250.0])
    area_km2: float = Field(
        examples=[0.647], description="of the places within the study area, overlaps once"
    )
    total_km2: float = Field(examples=[638.1])
    periods: list[PeriodReply]
    total: Lists = Field(description="all periods together")
    notes: list[MessageReply] = Field(examples=[[]])
