"""Replies of `/v1/audit`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, Json

from app.http.schemas import Instant, Reply


class AuditEntry(Reply):
    """One entry of a chain."""

    chain: str = Field(
        description="a region's id; * for the service; before the reads of either, ~",
        examples=["*"],
    )
    seq: int = Field(examples=[4])
    at: Instant
    actor: str = Field(examples=["b0ed7b5e98fc"])
    action: str = Field(examples=["key.revoked"])
    details: Json[dict[str, Any]] = Field(examples=[{"key": "6910f933fb9a", "roles": ["reader"]}])
    hash: str = Field(examples=["f1c2ca11eacb4e367b601608631cf5c2ce1a7318befbb8df480cca166956c66d"])


class AuditPage(Reply):
    """Entries, the newest first."""

    entries: list[AuditEntry]
