"""How a file was read: what each upload's answer says under `read`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.core.messages import Message, MessageTable
from app.core.texts import cut

MAX_LISTED = 50
MAX_NAME_CHARS = 100
FEATURE_ID = "feature.id"
"""Name of the column that holds the ids of GeoJSON features."""
ASSUMPTIONS = MessageTable(
    {
        "ids_unique": "{column} differs in every row, so it was taken for the incidents' ids; if "
        "it is not, send columns=external_id=",
        "ids_repeat": "{column} repeats in rows that differ, so it was stored as reference; if it "
        "is an id, of which the last row counts, send columns=external_id={column}",
        "ids_repeated_before": "{column} was stored as reference, as in an earlier file of this "
        "feed where it repeated; if it is an id, send columns=external_id={column}",
        "ids_rounded": "{column} has numbers in scientific notation, whose last digits are lost, so "
        "it was stored as reference",
        "ids_decimal": "{column} has decimal numbers such as 12.0, so it was stored as reference; "
        "if it is an id, send columns=external_id={column}",
        "row_numbers": "{column} numbers the rows from {first} to {last}, so it was not stored; if "
        "it is an id, send columns=external_id={column}",
        "feature_ids": "ids of GeoJSON features were not used, since programs number them anew in "
        "every file; if they are ids, send columns=external_id=feature.id",
    }
)
"""What a reader assumed because the file does not say it."""


@dataclass(frozen=True)
class LeftAside:
    """A part of a file that was not read.

    Args:
        kind: `column`, `sheet`, `layer`, `file` or `rows`.
        reason: why, or empty if nothing asked for it.
    """

    kind: str
    name: str
    reason: str = ""


@dataclass(frozen=True)
class Reading:
    """What one table of a file was taken as.

    Args:
        file: member of an archive.
        header_row: position of the row with the column names, from 1.
        columns: {field or part: column of the file}.
        preset: the known portal whose columns these are.
        time_format: `strptime` format of the times, None for RFC 3339.
        zone: zone of times without an offset; None: the region's.
        crs: of projected coordinates.
    """

    format: str = ""
    file: str | None = None
    sheet: str | None = None
    layer: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header_row: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    preset: str | None = None
    time_format: str | None = None
    zone: str | None = None
    crs: str | None = None
    not_read: Sequence[LeftAside] = ()
    assumptions: Sequence[Message] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that is sent, with long lists and names cut."""
        found = asdict(self)
        found["columns"] = {
            name: cut(column, MAX_NAME_CHARS) for name, column in self.columns.items()
        }
        found["not_read"] = [
            {**asdict(part), "name": cut(part.name, MAX_NAME_CHARS)}
            for part in self.not_read[:MAX_LISTED]
        ]
        found["assumptions"] = [one.to_json() for one in self.assumptions[:MAX_LISTED]]
        return found

    @classmethod
    def from_json(cls, sent: Mapping[str, Any]) -> Reading:
        """Read the sent form, of the isolated reader or of storage."""
        return cls(
            **{
                **sent,
                "not_read": tuple(LeftAside(**part) for part in sent["not_read"]),
                "assumptions": tuple(Message.from_json(one) for one in sent["assumptions"]),
            }
        )
