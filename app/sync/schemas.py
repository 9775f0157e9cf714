"""Requests and replies of `/v1/regions/{region}/sync-runs`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasPath, ConfigDict, Field

from app.http.schemas import Reply, Request
from app.runs.schemas import RunReply


class NewSyncRun(Request):
    """Which source to read; without one, all of the region's."""

    model_config = ConfigDict(strict=False)

    source: Annotated[str | None, Field(max_length=63)] = None


class SyncRun(RunReply):
    """One reading of a source."""

    source: str = Field(validation_alias=AliasPath("request", "source"), examples=["open-data"])
    counts: dict[str, Any] = Field(
        validation_alias="metrics", examples=[{"received": 1200, "accepted": 1180}]
    )


class SyncRunList(Reply):
    """Sync runs, the newest first."""

    sync_runs: list[SyncRun]
