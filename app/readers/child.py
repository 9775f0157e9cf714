"""The isolated process that parses one untrusted file.

`python -m app.readers.child ORDERS` with the file as standard input; blocks of rows, or parts of
a boundary or a population layer, leave on standard output, each a length (4 bytes) and JSON. It has no
database, no keys, no network where the system supports that, and ends when it exceeds its memory or
processor time.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from app.readers.blocks import Block, Blocks
    from app.readers.context import FileReader, ReadContext

FRAME_BYTES = 4
MAX_FRAME_BYTES = 16 << 20
OUT_OF_MEMORY = 5
NICENESS = 10
"""Forecasts have priority over uploads."""
_FRAME_CHARS = 1 << 20
_MAX_INTEGER = 2**63 - 1
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PLACES = frozenset(("x", "y", "longitude", "latitude"))
_PERSONAL_CHARS = 100
_NO_FIELD: dict[str, Any] = {}
"""Replaces values that no field accepts: nested values, bytes."""


def confine(parent: int, cpu_s: int, file_bytes: int) -> None:
    """Restrict this process as far as the system allows.

    Args:
        parent: process whose end ends this one.
        cpu_s: processor time after which the system ends this process.
        file_bytes: of any file that it writes.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    os.nice(NICENESS)
    with suppress(OSError):
        # If the machine runs out of memory, the system should kill this process, not the database.
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        # After `unshare`, which resets it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def limit_memory(n_bytes: int) -> None:
    """Limit memory to `n_bytes` beyond what the libraries use already."""
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + n_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def file_reader(kind: str) -> FileReader:
    """Return the reader of a media type, and load its libraries."""
    from app.readers.formats import EXCEL_TYPE, SUFFIX_TYPES, TEXT_READERS, ZIP_TYPE

    if kind == EXCEL_TYPE:
        from app.readers.files.excel import read_excel

        return read_excel
    if kind == "application/geopackage+sqlite3":
        from app.readers.files.geopackage import read_geopackage

        return read_geopackage
    if kind == ZIP_TYPE:
        from app.readers.files.archives import zip_reader

        inner = {suffix: found for suffix, found in SUFFIX_TYPES.items() if found != ZIP_TYPE}
        return zip_reader({suffix: _member_reader(found) for suffix, found in inner.items()})
    if kind in TEXT_READERS:
        return _text_reader(kind)
    from app.readers.files.office import read_parquet

    return read_parquet


def _text_reader(kind: str) -> FileReader:
    from app.readers.context import chunks_of
    from app.readers.formats import TEXT_READERS

    return lambda file, context: TEXT_READERS[kind](chunks_of(file), context.options)


def _member_reader(kind: str) -> FileReader:
    """Return the reader of an archive's members; libraries are loaded when one is read."""
    from app.readers.context import chunks_of, spooled
    from app.readers.formats import TEXT_READERS

    def read(file: IO[bytes], context: ReadContext) -> Blocks:
        if kind in TEXT_READERS:
            yield from _text_reader(kind)(file, context)
            return
        with spooled(chunks_of(file)) as whole:
            yield from file_reader(kind)(whole, context)

    return read


def blocks_of(kind: str, file: IO[bytes], context: ReadContext) -> Iterator[Block]:
    """Yield the blocks of a file in JSON-compatible form, up to the allowed number of rows."""
    from app.readers.limits import check_rows

    n_rows = 0
    for block in file_reader(kind)(file, context):
        n_rows += block.n_rows
        check_rows(n_rows, context.sent_bytes, context.options.max_rows)
        yield _in_degrees(block, context.options.mapping.crs)


def _in_degrees(block: Block, given_crs: str | None) -> Block:
    """Project a block whose CRS is a definition from the file: no other process should parse it."""
    from dataclasses import replace

    from app.readers.limits import KNOWN_CRS

    crs = block.plan.crs
    if crs is None or crs == given_crs or KNOWN_CRS.fullmatch(crs):
        return block
    from app.readers.times.raw_columns import contract_columns

    places = {n: v for n, v in block.columns.items() if n in _PLACES}
    rest = {n: v for n, v in block.columns.items() if n not in _PLACES}
    placed = contract_columns(places, block.plan)
    return replace(block, columns={**rest, **placed}, plan=replace(block.plan, crs=None))


def frames_of(block: Block) -> Iterator[dict[str, Any]]:
    """Yield the frames to send for a block: several, if its texts are long."""
    plain = {name: [_plain(v) for v in values] for name, values in block.columns.items()}
    n_chars = sum(len(v) for values in plain.values() for v in values if isinstance(v, str))
    n_parts = min(block.n_rows, 1 + n_chars // _FRAME_CHARS)
    size = -(-block.n_rows // max(n_parts, 1))
    plan = block.plan
    for start in range(0, block.n_rows, max(size, 1)):
        stop = min(start + size, block.n_rows)
        yield {
            "n_rows": stop - start,
            "columns": {name: values[start:stop] for name, values in plain.items()},
            "broken": {str(i - start): m for i, m in block.broken.items() if start <= i < stop},
            "no_place": {str(i - start): m for i, m in block.no_place.items() if start <= i < stop},
            "crs": plan.crs,
            "time_format": plan.time_format,
            "reading": plan.reading.to_json(),
            "personal": [name[:_PERSONAL_CHARS] for name in plan.personal],
        }


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold, or an object, which the row rules reject."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value == int(value) else float(value)
    if isinstance(value, int):
        return value if abs(value) <= _MAX_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    return _NO_FIELD


def send(out: BinaryIO, message: dict[str, Any]) -> None:
    """Write one frame."""
    import orjson

    send_bytes(out, orjson.dumps(message))


def send_bytes(out: BinaryIO, data: bytes) -> None:
    """Write one frame.

    Raises:
        LimitExceeded: it is larger than any valid block or outline.
    """
    if len(data) > MAX_FRAME_BYTES:
        from app.core.errors import LimitExceeded

        raise LimitExceeded("a part of the file is too large", code="too_large")
    out.write(len(data).to_bytes(FRAME_BYTES, "big") + data)
    out.flush()


def _send_blocks(out: BinaryIO, orders: dict[str, Any]) -> None:
    context = _context(orders)
    file_reader(orders["kind"])
    limit_memory(orders["memory_bytes"])
    for block in blocks_of(orders["kind"], sys.stdin.buffer, context):
        for frame in frames_of(block):
            send(out, {"block": frame})


def _send_document(out: BinaryIO, orders: dict[str, Any]) -> None:
    from app.readers.files.documents import document_items, framed

    limit_memory(orders["memory_bytes"])
    for item in document_items(orders["kind"], sys.stdin.buffer, orders["asked"]):
        send_bytes(out, framed(item))


def main(orders_path: str) -> int:
    """Read standard input according to the orders file; return the exit status."""
    import orjson

    orders = orjson.loads(Path(orders_path).read_bytes())
    confine(orders["parent"], orders["cpu_s"], orders["max_bytes"])
    out = sys.stdout.buffer
    from app.core.errors import HotslotError, InvalidInput

    try:
        if orders["asked"] is None:
            _send_blocks(out, orders)
        else:
            _send_document(out, orders)
        send(out, {"end": True})
    except HotslotError as error:
        send(out, {"error": _error_json(error)})
    except MemoryError:
        return OUT_OF_MEMORY
    except BrokenPipeError:
        return 1
    except Exception as error:
        # Any library error on damaged bytes; its message may repeat the file's content.
        refusal = _error_json(InvalidInput("the file cannot be read", code="damaged"))
        send(out, {"error": refusal, "raised": type(error).__name__})
    return 0


def _context(orders: dict[str, Any]) -> ReadContext:
    from app.readers.blocks import ReadOptions
    from app.readers.columns.mapping import ColumnMapping
    from app.readers.context import ReadContext
    from app.readers.limits import ExpansionLimit

    sent = orders["sent_bytes"]
    options = ReadOptions(
        n_rows=orders["n_rows"],
        limit_chars=orders["limit_chars"],
        max_bytes=orders["max_bytes"],
        max_expansion=orders["max_expansion"],
        max_rows=orders["max_rows"],
        mapping=ColumnMapping(**orders["mapping"]),
        sent_bytes=lambda: sent,
    )
    return ReadContext(
        options, sent, ExpansionLimit(options.max_bytes, options.max_expansion, sent)
    )


def _error_json(error: Any) -> dict[str, Any]:
    from app.core.errors import LimitExceeded, Unavailable

    kind = next((k for k in (LimitExceeded, Unavailable) if isinstance(error, k)), None)
    return {
        "kind": "InvalidInput" if kind is None else kind.__name__,
        "message": error.message[:1000],
        "code": error.code,
        "field": error.field,
        "params": error.params,
        "limit": getattr(error, "limit", None),
        "asked": getattr(error, "asked", None),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
