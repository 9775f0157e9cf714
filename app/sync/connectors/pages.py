"""Pages of rows that connectors produce, each with its cursor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.core.messages import Message
from app.readers.columns.fields import JOINED
from app.readers.columns.mapping import ColumnMapping
from app.readers.files.decoding import READ_BYTES
from app.sync.connectors.portal import PortalClient
from app.sync.connectors.visit import Visit
from app.sync.spec import SourceSpec

ROWS_TYPE = "application/x-ndjson"
State = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """The part of a sweep that is stored in one transaction.

    Args:
        state: the cursor after it.
        body: the rows, or None if there are none.
        deleted: external ids of rows that the portal withdrew.
        share: of the sweep that is done, 0..1.
        name: of the file that it is, for errors.
    """

    state: State
    body: Iterable[bytes] | None = None
    content_type: str = ROWS_TYPE
    mapping: ColumnMapping = field(default_factory=ColumnMapping)
    deleted: Sequence[str] = ()
    share: float = 0.0
    message: Message | None = None
    content_encoding: str | None = None
    name: str = ""


Connector = Callable[[PortalClient, SourceSpec, State], Iterator[Page]]
DropConnector = Callable[[Visit, SourceSpec, State], Iterator[Page]]


class RowShaper:
    """Convert a portal's records to rows of fields and parts; missing values become None."""

    def __init__(self, spec: SourceSpec) -> None:
        self.fields: dict[str, str] = {}
        for name, column in spec.columns.items():
            first, plus, second = column.partition("+")
            if name in JOINED and plus:
                date, clock = JOINED[name]
                self.fields[date], self.fields[clock] = first.strip(), second.strip()
            else:
                self.fields[name] = column
        self._deleted, _, self._deleted_value = (spec.deleted_when or "").partition("=")
        self.mapping = ColumnMapping(
            {name: name for name in self.fields},
            spec.crs,
            spec.time_format,
            date_only=spec.date_only,
        )

    def columns(self, *more: str | None) -> list[str]:
        """Return the portal's columns that are needed, without duplicates."""
        wanted = [*self.fields.values(), self._deleted, *more]
        return list(dict.fromkeys(column for column in wanted if column))

    def page(
        self, records: Sequence[Mapping[str, Any]], state: State, share: float, message: Message
    ) -> Page:
        """Build a page from records."""
        rows: list[bytes] = []
        gone: list[str] = []
        for record in records:
            if self._deleted and str(record.get(self._deleted)) == self._deleted_value:
                gone.append(str(record.get(self.fields["external_id"])))
                continue
            row = {name: record.get(column) for name, column in self.fields.items()}
            rows.append(orjson.dumps(row) + b"\n")
        return Page(
            state,
            [b"".join(rows)] if rows else None,
            mapping=self.mapping,
            deleted=gone,
            share=share,
            message=message,
        )


def joined(pages: Iterator[Page]) -> Iterator[Page]:
    """Merge all pages into one: without ids equal rows are counted, which needs a whole sweep.

    The rows are spooled to a file; nothing of an interrupted sweep is stored.
    """
    with tempfile.TemporaryFile() as file:
        last: Page | None = None
        n_bytes = 0
        for page in pages:
            for chunk in page.body or ():
                n_bytes += file.write(chunk)
            last = page
        if last is None:
            return
        file.seek(0)
        body = iter(lambda: file.read(READ_BYTES), b"") if n_bytes else None
        yield Page(last.state, body, last.content_type, last.mapping, (), 1.0, last.message)
