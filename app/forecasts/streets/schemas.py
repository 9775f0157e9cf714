"""Reply of `/v1/regions/{region}/forecasts/streets`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.forecasts.schemas import Heading
from app.http.schemas import Feature, FeatureCollection, one_feature

_LINE = {"type": "LineString", "coordinates": [[-79.3807, 43.6487], [-79.3778, 43.6493]]}
_STREET: dict[str, Any] = {
    "rank": 1,
    "id": 20117,
    "name": "Front Street",
    "length_m": 243.1,
    "share_of_incidents": 0.0021,
    "expected_count": 0.0093,
    "expected_count_lo": 0,
    "expected_count_hi": 0,
    "per_km": 0.0383,
}


class StreetsForecast(Heading, FeatureCollection):
    """Street segments, those that expect the most per kilometre first."""

    features: list[Feature] = Field(examples=[one_feature(_LINE, **_STREET)])
    streets: str = Field(description="digest of the layer", examples=["3a7bd3e2360a3d29"])
    bandwidth_m: float | None = Field(
        description="of the network kernel that shares each cell among its streets, chosen on weeks before "
        "the end of the data; null: by length alone, because too few incidents are released",
        examples=[100.0],
    )
    top: float = Field(description="percent of the length", examples=[5.0])
    n_segments: int = Field(examples=[3022])
    n_segments_total: int = Field(examples=[59814])
    length_km: float = Field(examples=[452.5])
    length_km_total: float = Field(examples=[9050.3])
    share_of_length: float = Field(examples=[0.05])
    share_of_incidents_expected: float = Field(examples=[0.41])
    share_of_incidents_lo: float = Field(examples=[0.0])
    share_of_incidents_hi: float = Field(examples=[0.75])
    share_off_streets: float = Field(
        description="of the incidents expected in cells without streets", examples=[0.0004]
    )
    expected_off_streets: float = Field(examples=[0.0018])
    expected_count: float = Field(examples=[1.81])
    expected_count_lo: int = Field(examples=[0])
    expected_count_hi: int = Field(examples=[4])
    share_of_harm_expected: float | None = Field(default=None, description="with weight=harm")
    expected_harm: float | None = Field(default=None, description="with weight=harm")
