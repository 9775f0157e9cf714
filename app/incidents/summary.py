"""What a sender decides about an upload, and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from app.core.messages import Message
from app.incidents.parsing.row_errors import ROW_MESSAGES


@dataclass(frozen=True)
class StoreChoices:
    """What the sender decided about rows that may be stored already.

    Args:
        on_conflict: `refuse` or `replace` incidents whose id comes with another time, place and category.
        near_duplicates: `add`, `skip` or `replace` stored incidents that rows without ids nearly equal;
            None: refuse such an upload.
        replace: `feed`: remove the feed's incidents of this time span that the upload lacks.
        dry_run: read and check everything, store nothing.
        is_current: the body is what the publisher has now, so a version that it returns to is applied.
    """

    on_conflict: Literal["refuse", "replace"] = "refuse"
    near_duplicates: Literal["add", "skip", "replace"] | None = None
    replace: Literal["feed"] | None = None
    dry_run: bool = False
    is_current: bool = False


@dataclass
class IngestSummary:
    """The result of an upload; received = accepted + duplicates + rejected.

    `conflicts` and `outdated` rows are counted among the rejected and the duplicates.
    """

    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    corrected: int = 0
    rejected_by_code: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    outdated: int = 0
    removed: int = 0
    warnings: list[Message] = field(default_factory=list)
    read: dict[str, Any] | None = None
    dry_run: bool = False
    upload_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form that is stored and sent."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> IngestSummary:
        """Read a stored summary, also of an earlier release."""
        found = cls(**stored)
        found.warnings = [Message.from_json(warning) for warning in found.warnings]
        found.errors = [{**error, "params": error.get("params", {})} for error in found.errors]
        return found

    def without_stored(self) -> dict[str, Any]:
        """Return the form that may be repeated to anyone: without what stored incidents are."""
        found = self.to_json()
        found["errors"] = [
            {**e, **ROW_MESSAGES.make(e["code"], **{**e["params"], "stored": ""}).to_json()}
            if e["code"] == "id_conflict"
            else e
            for e in found["errors"]
        ]
        return found
