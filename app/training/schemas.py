"""Requests and replies of `/v1/regions/{region}/training-runs` and `/models`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from app.http.parameters import Moment, ShortText
from app.http.schemas import Instant, MessageReply, Names, Reply, Request, Version
from app.runs.schemas import RunReply

_SHA256 = "a69d237c8b8d4656ac82e6f9aae3bc2547018bd70e515b85b341095a110bcd8e"
_SETTINGS = {"model": "stack", "seed": 0, "until": None}


class NewTrainingRun(Request):
    """What to train; `until` trains only on incidents before it."""

    model: Annotated[str, Field(max_length=64, examples=["stack"])] = "stack"
    categories: Annotated[list[ShortText] | None, Field(min_length=1, max_length=200)] = None
    until: Moment | None = None
    seed: Annotated[int | None, Field(ge=0, le=2**53 - 1, examples=[1])] = None
    validate_first: Annotated[bool, Field(alias="validate")] = True


class TrainingRun(RunReply):
    """A training run with the version that it made."""

    model_version: Version | None
    metrics: dict[str, Any] = Field(
        examples=[{"reason": "first version of this region", "scores": {}, "seconds": 54.3}]
    )
    request: dict[str, Any] = Field(examples=[{**_SETTINGS, "categories": None, "validate": True}])
    note: MessageReply | None = Field(
        default=None, description="how `until` was rounded, in the reply to a request"
    )


class TrainingRunList(Reply):
    """Training runs, the newest first."""

    training_runs: list[TrainingRun]


class ModelReply(Reply):
    """One immutable version with its provenance and scores."""

    version: Version
    model: str = Field(examples=["stack"])
    champion: bool = Field(examples=[True])
    erased_incidents: int = Field(description="incidents of its data erased since")
    outdated: str | None = Field(
        default=None,
        description="what of the region changed since, so that the version serves no longer",
        examples=["timezone"],
    )
    trained_until: Instant
    created_at: Instant
    data_hash: str | None = Field(
        default=None, description="keyed digest of its incidents; only to those who may list them"
    )
    n_incidents: int = Field(examples=[240989])
    seed: int
    categories: Names
    settings: dict[str, Any] = Field(examples=[_SETTINGS])
    provenance: dict[str, Any] = Field(examples=[{"device": "cpu", "python": "3.11.7"}])
    scores: dict[str, Any] = Field(description="on the 28 days before the end of its data")
    report: dict[str, Any] = Field(
        examples=[{"weights": {"maf": 0.4571, "cox": 0.31, "sepp": 0.0283}}]
    )
    artifact_sha256: str | None = Field(
        default=None, description="only to those who may list incidents", examples=[_SHA256]
    )
    sealed_at: Instant


class ModelList(Reply):
    """A region's versions, the newest first."""

    champion: Version | None
    models: list[ModelReply]
    warnings: list[MessageReply] = Field(examples=[[]])


class Promotion(Reply):
    """The champion after a promotion or a rollback."""

    champion: Version | None
    revision: int = Field(description="number of changes of champion so far", examples=[3])
