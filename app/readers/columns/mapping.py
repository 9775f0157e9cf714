"""What a caller says about a file: which column is which field, and how to read the values."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from app.core.bounds import check_text
from app.core.errors import InvalidInput
from app.core.texts import cut, shortened
from app.core.zones import zone
from app.readers.columns.fields import ALL_FIELDS

_MAX_FORMAT_CHARS = 60
_NO_TEXT = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7")
MAX_CRS_CHARS = 64
MAX_CHOICE_CHARS = 100
MAX_HEADER_ROW = 100


@dataclass(frozen=True)
class ColumnMapping:
    """The caller's mapping of a file's columns.

    Args:
        columns: {field or part: name in the header}; `occurred_at: "A+B"` joins two columns, as
            `occurred_from` and `occurred_to` do.
        crs: of `x`, `y` (or of longitude and latitude, when those hold projected coordinates).
        time_format: of the times, in `strptime` notation; never guessed.
        zone: of times without an offset, if not the region's: an IANA name or `UTC`; `local`: offsets
            in the file are wrong, its times are the region's wall times.
        part: the sheet, layer or archive member to read.
        encoding: of a text file.
        header_row: position of the row with the column names, from 1.
        feed: who numbers the incidents; equal ids of two feeds are two incidents.
        date_only: `interval`: a date without a time is an interval of that local day.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    crs: str | None = None
    time_format: str | None = None
    zone: str | None = None
    part: str | None = None
    encoding: str | None = None
    header_row: int | None = None
    feed: str | None = None
    date_only: str | None = None

    def __post_init__(self) -> None:
        check_text(self.crs, "crs", MAX_CRS_CHARS)
        for name in ("zone", "part", "encoding", "feed"):
            check_text(getattr(self, name), name, MAX_CHOICE_CHARS)
        if self.zone not in (None, "local"):
            _check_zone(self.zone)
        if self.date_only not in (None, "interval"):
            raise InvalidInput(
                f"date_only must be interval, got {shortened(self.date_only)}", field="date_only"
            )
        if self.encoding is not None:
            _check_encoding(self.encoding)
        if self.header_row is not None and not 1 <= self.header_row <= MAX_HEADER_ROW:
            raise InvalidInput(
                f"header_row must lie within 1..{MAX_HEADER_ROW}", field="header_row"
            )
        _check_fields(self.columns)
        if self.crs is not None:
            _check_crs(self.crs)
        if self.time_format is not None and (
            len(self.time_format) > _MAX_FORMAT_CHARS or "%" not in self.time_format
        ):
            raise InvalidInput("time_format must be a strptime format", field="time_format")

    @classmethod
    def parse(
        cls,
        columns: Sequence[str],
        crs: str | None = None,
        time_format: str | None = None,
        **choices: Any,
    ) -> ColumnMapping:
        """Parse `field=column` texts; `field=` says that the file has no such column.

        Raises:
            InvalidInput: a text is not such a pair, or names no field.
        """
        pairs = {}
        for text in columns:
            name, sign, column = text.partition("=")
            if not sign or not name.strip():
                raise InvalidInput(f"{shortened(text)} is not field=column", field="columns")
            pairs[name.strip()] = column.strip()
        return cls(pairs, crs, time_format, **choices)

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {**asdict(self), "columns": dict(self.columns)}

    def over(self, stored: Mapping[str, Any]) -> ColumnMapping:
        """Return a stored mapping, overridden by what this one says."""
        own = {name: value for name, value in self.to_json().items() if value is not None}
        return ColumnMapping(**{**stored, **own, "columns": {**stored["columns"], **self.columns}})


def _check_fields(columns: Mapping[str, str]) -> None:
    for name, column in columns.items():
        check_text(column, f"columns.{cut(name, 20)}")
        if name not in ALL_FIELDS:
            raise InvalidInput(
                f"unknown field {shortened(name)}; choose one of {', '.join(ALL_FIELDS)}",
                field="columns",
            )


def _check_crs(name: str) -> None:
    try:
        CRS.from_user_input(name)
    except CRSError as error:
        raise InvalidInput(f"unknown CRS {shortened(name)}", field="crs") from error


def _check_zone(name: str) -> None:
    try:
        zone(name)
    except InvalidInput as error:
        raise InvalidInput(
            f"unknown zone {shortened(name)}; use an IANA name, UTC or local", field="zone"
        ) from error


def _check_encoding(name: str) -> None:
    try:
        found = codecs.lookup(name)
        is_text = found._is_text_encoding and found.name not in _NO_TEXT
    except (LookupError, ValueError):  # the latter of names with a null character
        is_text = False
    if not is_text:
        raise InvalidInput(
            f"unknown encoding {shortened(name)}; use a name such as utf-8, windows-1252, shift_jis",
            field="encoding",
        )
