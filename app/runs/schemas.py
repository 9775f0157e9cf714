"""What all kinds of runs show of themselves."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from app.http.schemas import Instant, MessageReply, Reply


class RunReply(Reply):
    """A training run, a backtest or a sync run."""

    id: UUID = Field(examples=["539610f0-9967-4cbd-8cd2-8f33ab84e18e"])
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"] = Field(
        examples=["succeeded"]
    )
    progress: float = Field(ge=0, le=1, examples=[1.0])
    message: str | None = Field(examples=["promoted: first version of this region"])
    said: MessageReply | None = Field(
        description="what it is at or how it ended, by code; null in runs of earlier versions",
        examples=[
            {
                "code": "promoted_first",
                "params": {},
                "message": "first version of this region",
            }
        ],
    )
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
