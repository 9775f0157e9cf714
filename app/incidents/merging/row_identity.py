"""Columns that identify staged rows: keys, references, feeds, revisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.incidents.parsing.identity import IdColumn, content_keys, dedup_keys, id_keys
from app.incidents.parsing.revisions import revisions_s
from app.incidents.parsing.rules import ParsedBlock
from app.readers.blocks import Block
from app.readers.columns.mapping import ColumnMapping


class RowIdentity:
    """What identifies an upload's rows.

    Args:
        timezone: of `updated_at` without an offset.
    """

    def __init__(self, mapping: ColumnMapping, timezone: str) -> None:
        self.feed = mapping.feed
        self.timezone = timezone
        self.ids = IdColumn(mapping)
        self.has_feeds = False
        self.unread_revisions = 0

    def columns_of(
        self, parsed: ParsedBlock, block: Block, *, guessed: bool
    ) -> dict[str, pa.Array]:
        """Return a block's columns, each of the accepted rows.

        Args:
            guessed: rows have their ids' keys beside those of their content, and the merge chooses.
        """
        feed = self._feeds(parsed)
        parsed = replace(parsed, feed=feed)
        ids = id_keys(parsed) if guessed else None
        keys = content_keys(parsed).astype(str) if guessed else dedup_keys(parsed)
        if ids is not None:
            self.ids.note_ids(parsed.external_id)
        return {
            "dedup_key": pa.array(keys, pa.string()),
            "id_key": _texts(ids, len(keys)),
            "reference": _texts(parsed.reference, len(keys)),
            "feed": _texts(feed, len(keys)),
            "revised_s": self._revisions(parsed, block),
        }

    def _feeds(self, parsed: ParsedBlock) -> NDArray[Any] | None:
        feed = parsed.feed
        if self.feed:
            given = np.full(len(parsed.row), self.feed, object)
            feed = given if feed is None else np.where(feed == np.array(None), given, feed)
        self.has_feeds |= feed is not None
        return feed

    def _revisions(self, parsed: ParsedBlock, block: Block) -> pa.Array:
        """Return when the publisher last changed each record, in seconds since 1970."""
        values = block.columns.get("updated_at")
        if values is None:
            return pa.nulls(len(parsed.row), pa.int64())
        seconds, n_unread = revisions_s(values, block.plan.time_format, self.timezone)
        self.unread_revisions += n_unread
        found = seconds[parsed.row]
        return pa.array(np.nan_to_num(found).astype(np.int64), mask=np.isnan(found))


def _texts(values: NDArray[Any] | None, n_rows: int) -> pa.Array:
    return pa.nulls(n_rows, pa.string()) if values is None else pa.array(values, pa.string())
