"""Requests and replies of `/v1/regions/{region}/incidents` and `/mappings`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

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

_COLUMNS = {"occurred_at": "DATE+TIME", "category": "OFFENSE"}
_POINT = {"type": "Point", "coordinates": [-74.06, 4.65]}


class IncidentPage(FeatureCollection):
    """A page of incidents as points, in order of time.

    Each has `occurred_at`, or `occurred_from` and `occurred_to` if it occurred within that interval.
    """

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


class LeftAsideReply(Reply):
    """A part of a file that was not read."""

    kind: str = Field(examples=["column"])
    name: str = Field(examples=["End Date"])
    reason: str = Field(examples=["end_time"])


class ReadingReply(Reply):
    """What a table of the file was taken as; null: the format has no such thing, or it was not needed."""

    format: str = Field(examples=["csv"])
    file: str | None = Field(examples=["2025.csv"])
    sheet: str | None = Field(examples=["2025"])
    layer: str | None = Field(examples=["incidents"])
    encoding: str | None = Field(examples=["utf-8"])
    delimiter: str | None = Field(examples=[","])
    header_row: int | None = Field(examples=[1])
    columns: dict[str, str] = Field(examples=[_COLUMNS])
    preset: str | None = Field(examples=["Chicago, crimes"])
    time_format: str | None = Field(examples=["%m/%d/%Y %H:%M"])
    zone: str | None = Field(examples=["America/Chicago"])
    crs: str | None = Field(examples=["EPSG:26910"])
    not_read: list[LeftAsideReply]
    assumptions: list[MessageReply]


class ReadReply(ReadingReply):
    """How the file was read; a file of several tables has `further` ones."""

    further: list[ReadingReply]


class UploadReply(Reply):
    """What became of an upload: received = accepted + duplicates + rejected.

    `conflicts` and `outdated` rows are counted among the rejected and the duplicates.
    """

    received: int = Field(examples=[3])
    accepted: int = Field(examples=[2])
    duplicates: int = Field(examples=[0])
    rejected: int = Field(examples=[1])
    errors: list[RowError]
    corrected: int = Field(examples=[0])
    rejected_by_code: dict[str, int] = Field(examples=[{"looks_swapped": 1}])
    conflicts: int = Field(examples=[0])
    outdated: int = Field(examples=[0])
    removed: int = Field(examples=[0])
    warnings: list[MessageReply]
    read: ReadReply | None
    dry_run: bool = Field(examples=[False])
    upload_id: int | None = Field(examples=[3])


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
    zone: Annotated[
        str | None,
        Field(
            max_length=100,
            description="of times without an offset; `local`: offsets in the file are wrong",
            examples=["UTC"],
        ),
    ] = None
    part: Annotated[
        str | None,
        Field(max_length=100, description="sheet, layer or archive member", examples=["2025"]),
    ] = None
    encoding: Annotated[
        str | None, Field(max_length=100, description="of text", examples=["shift_jis"])
    ] = None
    header_row: Annotated[
        int | None, Field(ge=1, le=100, description="row of the column names", examples=[5])
    ] = None
    feed: Annotated[
        str | None, Field(max_length=100, description="who numbers incidents", examples=["campus"])
    ] = None
    date_only: Annotated[
        Literal["interval"] | None,
        Field(
            description="`interval`: a date without a time is an interval of that local day",
            examples=["interval"],
        ),
    ] = None


class MappingReply(Reply):
    """A stored mapping."""

    columns: dict[str, str] = Field(examples=[_COLUMNS])
    crs: str | None = Field(examples=["EPSG:26910"])
    time_format: str | None = Field(examples=["%m/%d/%Y %H:%M"])
    zone: str | None = Field(default=None, examples=["UTC"])
    part: str | None = Field(default=None, examples=["2025"])
    encoding: str | None = Field(default=None, examples=["shift_jis"])
    header_row: int | None = Field(default=None, examples=[5])
    feed: str | None = Field(default=None, examples=["campus"])
    date_only: str | None = Field(default=None, examples=["interval"])


class MappingList(Reply):
    """A region's mappings by name."""

    mappings: dict[str, MappingReply] = Field(examples=[{"portal": example_of(MappingReply)}])


class AliasOf(Request):
    """The category that a name counts as."""

    model_config = ConfigDict(populate_by_name=True)

    category: Annotated[ShortText, Field(examples=["Assault"])]
    since: Annotated[
        str | None,
        Field(
            alias="from",
            pattern=r"^\d{4}-\d{2}-\d{2}$",
            description="local day from which it does; null: always",
            examples=["2026-09-01"],
        ),
    ] = None


class Aliases(Request):
    """All aliases of a region."""

    aliases: Annotated[
        dict[ShortText, AliasOf],
        Field(examples=[{"Assault, common": {"category": "Assault", "from": "2026-09-01"}}]),
    ]

    def names(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            name: {"category": alias.category, "from": alias.since}
            for name, alias in self.aliases.items()
        }


class Groups(Request):
    """All groups of a region."""

    groups: Annotated[
        dict[ShortText, list[ShortText]], Field(examples=[{"violent": ["Assault", "Robbery"]}])
    ]


class Weights(Request):
    """All weights of a region's categories."""

    weights: Annotated[
        dict[ShortText, Annotated[float, Field(allow_inf_nan=False)]],
        Field(examples=[{"Assault": 5.0, "Theft": 1.0}]),
    ]


class KindNames(Reply):
    """A category with the stored names that count as it."""

    category: str = Field(examples=["Assault"])
    names: list[str] = Field(examples=[["Assault", "Assault, common"]])


class KindsReply(Reply):
    """A region's categories, aliases, groups and weights, as far as the caller may see them."""

    categories: list[KindNames]
    aliases: dict[str, dict[str, str | None]] = Field(
        examples=[{"Assault, common": {"category": "Assault", "from": "2026-09-01"}}]
    )
    groups: dict[str, list[str]] = Field(examples=[{"violent": ["Assault", "Robbery"]}])
    weights: dict[str, float] = Field(examples=[{"Assault": 5.0, "Theft": 1.0}])
