"""Helpers of readers that run in the isolated process (`app.readers.child`)."""

from __future__ import annotations

import errno
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

from app.core.errors import InvalidInput, Unavailable
from app.readers.blocks import Block, Blocks, ReadOptions
from app.readers.files.decoding import READ_BYTES
from app.readers.limits import ExpansionLimit


@dataclass(frozen=True)
class ReadContext:
    """How a file is read, and how much it may still unpack to.

    Args:
        sent_bytes: size of the upload as it was sent, before any decoding.
    """

    options: ReadOptions
    sent_bytes: int
    expansion: ExpansionLimit


FileReader = Callable[[IO[bytes], ReadContext], Blocks]


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Iterate over the file's bytes from its current position."""
    return iter(lambda: file.read(READ_BYTES), b"")


def merged(blocks: Iterator[Block], n_rows: int) -> Blocks:
    """Merge small blocks of one table into larger ones of at most `n_rows`."""
    held: Block | None = None
    for block in blocks:
        fits = held is not None and held.n_rows + block.n_rows <= n_rows
        if held is not None and fits and held.plan == block.plan:
            before = held
            held = Block(
                {name: [*values, *block.columns[name]] for name, values in before.columns.items()},
                before.n_rows + block.n_rows,
                {**before.broken, **{before.n_rows + i: m for i, m in block.broken.items()}},
                before.plan,
                {**before.no_place, **{before.n_rows + i: m for i, m in block.no_place.items()}},
            )
            continue
        if held is not None:
            yield held
        held = block
    if held is not None:
        yield held


@contextmanager
def spooled(chunks: Iterator[bytes]) -> Iterator[IO[bytes]]:
    """Yield a temporary file with these bytes, positioned at its start.

    Raises:
        Unavailable: the disk is full.
    """
    with tempfile.TemporaryFile() as file:
        for chunk in chunks:
            with disk_checked():
                file.write(chunk)
        file.seek(0)
        yield file


@contextmanager
def disk_checked() -> Iterator[None]:
    """Raise `Unavailable` if writing in the block fails because the disk is full.

    Raises:
        Unavailable: the disk is full.
    """
    try:
        yield
    except OSError as error:
        check_disk(error)
        raise


def check_disk(error: OSError) -> None:
    """Raise `Unavailable` if the error says that the disk is full.

    Raises:
        Unavailable: the disk is full.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise Unavailable("the disk is full", retry_after_s=30, code="disk_full") from error


def check_members(members: Sequence[zipfile.ZipInfo], context: ReadContext) -> None:
    """Count the unpacked size of archive members; none yields more than its header declares.

    Raises:
        InvalidInput: members overlap.
        LimitExceeded: they expand too far.
    """
    placed = sorted(members, key=lambda member: member.header_offset)
    for one, following in pairwise(placed):
        if one.header_offset + one.compress_size > following.header_offset:
            raise InvalidInput("members of the archive overlap", code="archive")
    context.expansion.add(sum(member.file_size for member in members))


def write_file(path: Path, chunks: Iterator[bytes]) -> None:
    """Write chunks to a file."""
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
