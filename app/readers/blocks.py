"""Blocks of raw rows, which all readers make, and the options they read by."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.readers.columns.mapping import ColumnMapping
from app.readers.columns.plan import ColumnPlan
from app.readers.limits import check_rows

MAX_ROW_CHARS = 1 << 20
"""Of a line of text, or an item of a JSON array."""
_LINES_LOOK = 1 << 16


@dataclass(frozen=True)
class ReadOptions:
    """Options and limits for reading a body.

    Args:
        n_rows: of a block.
        limit_chars: of a field.
        max_bytes: of the decoded body, also of an archive's member.
        max_expansion: decoded bytes allowed per one that was sent.
        mapping: the caller's mapping of columns.
        max_rows: of the body.
        memory_bytes, cpu_s, cpu_s_per_mib: of an isolated reader process.
        sent_bytes: returns how many bytes were sent so far; None: as many as the body has.
        gone: returns whether the client has gone.
        remedy: advice for a file that exceeds the limits.
    """

    n_rows: int = 50_000
    limit_chars: int = 4096
    max_bytes: int = 1 << 30
    max_expansion: int = 100
    mapping: ColumnMapping = field(default_factory=ColumnMapping)
    max_rows: int = 25_000_000
    memory_bytes: int = 512 << 20
    cpu_s: float = 3.0
    cpu_s_per_mib: float = 3.0
    sent_bytes: Callable[[], int] | None = None
    gone: Callable[[], bool] = lambda: False
    remedy: str = "split it, or send it as CSV"


@dataclass(frozen=True)
class Block:
    """Raw rows by field or part.

    Args:
        broken: rows that could not be read, by position, and why.
        no_place: rows whose place is missing or no point, and why.
    """

    columns: Mapping[str, Sequence[Any]]
    n_rows: int
    broken: Mapping[int, str]
    plan: ColumnPlan
    no_place: Mapping[int, str] = field(default_factory=dict)


Blocks = Generator[Block, None, None]
Reader = Callable[[Iterator[bytes], ReadOptions], Blocks]


def counted(lines: Iterator[str], options: ReadOptions) -> Iterator[str]:
    """Yield the lines, up to the number of rows that the body may hold.

    Raises:
        LimitExceeded: too many lines.
    """
    sent = options.sent_bytes
    for n_lines, line in enumerate(lines, 1):
        if n_lines % _LINES_LOOK == 0 and sent is not None:
            check_rows(n_lines, sent(), options.max_rows)
        yield line
