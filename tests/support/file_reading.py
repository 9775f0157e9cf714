"""Files of any format read in this process, as the isolated one reads them."""

from __future__ import annotations

import io
from typing import Any

from app.readers.blocks import Block, ReadOptions
from app.readers.columns.mapping import ColumnMapping
from app.readers.context import FileReader, ReadContext
from app.readers.limits import ExpansionLimit


def context_of(body: bytes, **options: Any) -> ReadContext:
    """Options; what `ColumnMapping` takes may stand among them."""
    names = ColumnMapping.__dataclass_fields__.keys() & options.keys()
    mapping = ColumnMapping(**{name: options.pop(name) for name in names})
    made = ReadOptions(mapping=mapping, **options)
    limit = ExpansionLimit(made.max_bytes, made.max_expansion, len(body))
    return ReadContext(made, len(body), limit)


def blocks_of(reader: FileReader, body: bytes, **options: Any) -> list[Block]:
    """All blocks of a file."""
    return list(reader(io.BytesIO(body), context_of(body, **options)))


def rows_of(blocks: list[Block]) -> list[dict[str, Any]]:
    """The rows of all blocks."""
    return [
        {name: values[k] for name, values in block.columns.items()}
        for block in blocks
        for k in range(block.n_rows)
    ]
