"""Requests and replies of fairness reports, population layers, learning policies and model cards."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from app.http.schemas import Instant, Names, Reply, Request, Version
from app.regions.learning_policy import MAX_LISTED, Choice, Switch

_PART = {"name": "Agincourt North", "flagged_share": 0.004, "incident_share": 0.005, "ratio": 0.8}
_DISPARITY = {"max_ratio": 1.911, "misplaced": 0.188}


class FairnessReport(Reply):
    """Whom the flagged cells fall on, by neighbourhood and group."""

    region: str = Field(examples=["toronto"])
    model: str = Field(examples=["stack"])
    model_version: Version
    trained_until: Instant
    incidents_since: Instant
    made_at: Instant
    flagged_percent: float = Field(examples=[5])
    named_parts: bool = Field(description="the neighbourhoods are the region's own")
    minimum_count: int
    n_incidents: int = Field(examples=[29091])
    disparity: dict[str, float] = Field(examples=[_DISPARITY])
    neighbourhoods: list[dict[str, Any]] = Field(examples=[[_PART]])
    groups: dict[str, Any] = Field(description="exposure by group of residents")
    excluded_categories: Names
    presence: dict[str, Any] | None = Field(
        default=None,
        description="feedback audit, if the presence log has rows of that year: hours in flagged cells and "
        "elsewhere; incidents with and without presence, reported and discovered; null for callers who "
        "may not list incidents",
    )
    under_reporting: dict[str, Any] | None = Field(examples=[None])


class PopulationReply(Reply):
    """The neighbourhoods with their residents."""

    neighbourhoods: list[dict[str, Any]] = Field(
        examples=[[{"name": "Agincourt North", "residents": 29113}]]
    )


class PolicyPlace(Request):
    """A place that the policy decides on, to five metres."""

    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False, examples=[-84.48])]
    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False, examples=[39.12])]


_Category = Annotated[str, Field(min_length=1, max_length=200)]
_Categories = Annotated[list[_Category], Field(max_length=MAX_LISTED, examples=[["Trespass"]])]
_Places = Annotated[list[PolicyPlace], Field(max_length=MAX_LISTED)]


class Policy(Request):
    """What a region's models learn from."""

    patrol_categories: Choice = "exclude"
    discovered_weight: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    minimum_count: Annotated[int, Field(ge=0, le=1000)] = 0
    include_categories: _Categories = Field(
        default_factory=list, description="learnt from, whatever their class"
    )
    exclude_categories: _Categories = Field(default_factory=list, description="not learnt from")
    keep_places: _Places = Field(
        default_factory=list, description="real places: never left out as default geocodes"
    )
    drop_places: _Places = Field(default_factory=list, description="always left out")
    assimilate: Switch = Field(
        default="on", description="whether forecasts follow what arrives between trainings"
    )


class CategoryRuleReply(Reply):
    """Whether models learn from a category, and why."""

    category: str = Field(examples=["DRUNK ROLL"])
    offence_class: str = Field(examples=["theft"])
    patrol: bool = Field(description="its class mostly reflects patrols", examples=[False])
    rule: str = Field(description="words of the name that decided", examples=["drunk roll"])
    learnt: bool = Field(examples=[True])
    by_policy: bool = Field(description="the policy names it", examples=[False])


class PolicyReply(Reply):
    """What a region's models learn from, and the smallest number shown by place."""

    patrol_categories: Choice
    discovered_weight: float
    minimum_count: int
    include_categories: Names
    exclude_categories: Names
    keep_places: list[PolicyPlace] | None = Field(
        description="null for callers who may not list incidents",
        examples=[[{"longitude": -84.48, "latitude": 39.12}]],
    )
    drop_places: list[PolicyPlace] | None = Field(examples=[[]])
    assimilate: Switch
    categories: list[CategoryRuleReply] = Field(description="the region's categories")


class ModelCard(Reply):
    """What a version is, what it is for and not for, and whom it falls on."""

    region: str = Field(examples=["toronto"])
    model_version: Version
    model: str = Field(examples=["stack"])
    champion: bool = Field(examples=[True])
    purpose: str = Field(examples=["Forecasts of how likely recorded incidents are."])
    prohibited_uses: list[str] = Field(
        examples=[["Grounds for a stop, a search, an arrest or a raid."]]
    )
    limits: list[str] = Field(examples=[["It learns recorded incidents, not crime."]])
    data: dict[str, Any] = Field(examples=[{"n_incidents": 240989, "default_geocodes": 0}])
    state: dict[str, Any] | None = Field(
        description="last state: what has arrived since the training", examples=[None]
    )
    evaluation: dict[str, Any] | None = Field(examples=[None])
    memorisation: dict[str, Any]
    fairness: dict[str, Any] = Field(examples=[{"disparity": _DISPARITY, "n_incidents": 29091}])
    provenance: dict[str, Any] = Field(examples=[{"device": "cpu", "python": "3.11.7"}])
    settings: dict[str, Any] = Field(examples=[{"model": "stack", "seed": 0, "until": None}])
    seed: int
    sealed_at: Instant
    artifact_sha256: str | None = Field(
        default=None, description="only to those who may list incidents"
    )
    read_on: str = Field(examples=["docs/responsible-use.md"])
