"""Run readers in an isolated process (`app.readers.child`) and watch it.

The process gets the body as a file and nothing else; its blocks of rows, or parts of a document, come
back over a pipe, bounded in size. It is killed when it takes too long, when the client has gone, and when
this process stops; it ends by itself when it exceeds its memory or processor time, or loses its parent.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import IO, Any

import orjson

from app.core.errors import InvalidInput, LimitExceeded, Unavailable
from app.core.settings import Settings
from app.readers.blocks import Block, Blocks, Reader, ReadOptions
from app.readers.child import FRAME_BYTES, MAX_FRAME_BYTES, OUT_OF_MEMORY
from app.readers.columns.fields import COUNT, END_PARTS, FIELDS, PLACE_PARTS, TIME_PARTS
from app.readers.columns.plan import ColumnPlan
from app.readers.context import spooled
from app.readers.folders import parser_folder
from app.readers.limits import KNOWN_CRS, MADE_FLOOR_BYTES, implausible
from app.readers.reading import Reading

LOOK_S = 0.25
"""Interval of checks whether the client still waits."""
MAX_PARAMS_BYTES = 1 << 13
WALL_FACTOR, WALL_FLOOR_S = 4.0, 10.0
"""The deadline, as a multiple of processor time: a busy machine takes longer."""
READ_BYTES = 1 << 16
SMALL_BYTES = 1 << 18
_COLUMNS = frozenset((*FIELDS, *TIME_PARTS, *END_PARTS, *PLACE_PARTS, COUNT))
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PROJ_DATA", "GDAL_DATA")
_log = logging.getLogger("hotslot.ingest")
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def isolated(kind: str) -> Reader:
    """Return a reader of this media type that parses in an isolated process."""

    def read(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
        for message in _messages(kind, chunks, options, None):
            yield _block(message["block"], options)

    return read


def isolated_items(
    kind: str, chunks: Iterable[bytes], options: ReadOptions, asked: dict[str, Any]
) -> Iterator[Any]:
    """Yield the parts of a document, parsed in an isolated process; see `documents`."""
    for message in _messages(kind, iter(chunks), options, asked):
        yield message["item"]


def reading_limits(settings: Settings, gone: Callable[[], bool] = lambda: False) -> ReadOptions:
    """Return the limits of the process that parses a document."""
    return ReadOptions(
        max_bytes=settings.max_body_bytes,
        max_expansion=settings.max_gzip_expansion,
        memory_bytes=settings.parser_memory_bytes,
        cpu_s=settings.parser_cpu_s,
        cpu_s_per_mib=settings.parser_cpu_s_per_mib,
        gone=gone,
        remedy="simplify it",
    )


def _messages(
    kind: str, chunks: Iterator[bytes], options: ReadOptions, asked: dict[str, Any] | None
) -> Generator[dict[str, Any], None, None]:
    """Yield the process's messages; end the process when the consumer stops."""
    with spooled(chunks) as body:
        size = os.fstat(body.fileno()).st_size
        sent = size if options.sent_bytes is None else options.sent_bytes()
        cpu_s = math.ceil(max(options.cpu_s, options.cpu_s_per_mib * sent / (1 << 20)))
        orders = {**_orders(kind, options, sent, cpu_s), "asked": asked}
        with _started(orders, body) as process:
            yield from _received(process, options, sent, cpu_s)


def isolated_when_large(kind: str, small: Reader) -> Reader:
    """Return a reader that parses bodies up to `SMALL_BYTES` here, where a process costs more."""

    def read(chunks: Iterator[bytes], options: ReadOptions) -> Blocks:
        held, n_bytes = [], 0
        for chunk in chunks:
            held.append(chunk)
            n_bytes += len(chunk)
            if n_bytes > SMALL_BYTES:
                break
        chosen = small if n_bytes <= SMALL_BYTES else isolated(kind)
        yield from chosen(chain(held, chunks), options)

    return read


def end_all() -> None:
    """Kill all reader processes of this process; their readers raise `Unavailable`."""
    with _lock:
        for process in _running:
            process.kill()


@contextmanager
def _started(orders: dict[str, Any], body: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the reading process in its own folder; remove both at the end of the block."""
    with parser_folder() as (folder, held):
        path = folder / "orders.json"
        path.write_bytes(orjson.dumps(orders))
        process = _process(path, body, held)
        with _lock:
            _running.add(process)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            with _lock:
                _running.discard(process)
            if process.stdout is not None:
                process.stdout.close()


def _process(orders: Path, body: IO[bytes], held: int) -> subprocess.Popen[bytes]:
    """Start the reading process in the folder of its orders."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "app.readers.child", str(orders)],
        stdin=body,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # library warnings repeat the values of odd cells
        cwd=orders.parent,
        env=_environment(str(orders.parent)),
        pass_fds=[held],
    )


def _environment(folder: str) -> dict[str, str]:
    """Return an environment without our secrets, with one thread for each library."""
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MALLOC_ARENA_MAX")
    return {
        **found,
        **dict.fromkeys(threads, "1"),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "PYTHONPATH": os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": folder,
        "TMPDIR": folder,
    }


def _orders(kind: str, options: ReadOptions, sent: int, cpu_s: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "parent": os.getpid(),
        "sent_bytes": sent,
        "cpu_s": cpu_s,
        "memory_bytes": options.memory_bytes,
        "n_rows": options.n_rows,
        "limit_chars": options.limit_chars,
        "max_bytes": options.max_bytes,
        "max_expansion": options.max_expansion,
        "max_rows": options.max_rows,
        "mapping": asdict(options.mapping),
    }


def _received(
    process: subprocess.Popen[bytes], options: ReadOptions, sent: int, cpu_s: int
) -> Iterator[dict[str, Any]]:
    made, allowed = 0, max(MADE_FLOOR_BYTES, options.max_expansion * sent)
    for frame in _frames(process, options, cpu_s):
        made += len(frame)
        if made > allowed:
            raise implausible(options.max_expansion)
        message = orjson.loads(frame)
        if "error" in message:
            if "raised" in message:
                _log.warning("file not readable", extra={"raised": str(message["raised"])[:100]})
            raise _refusal(message["error"])
        if "end" in message:
            return
        yield message
    raise _ended(process, options, cpu_s)


def _frames(process: subprocess.Popen[bytes], options: ReadOptions, cpu_s: int) -> Iterator[bytes]:
    """Yield frames until the process closes its output or the deadline passes."""
    if process.stdout is None:
        return
    pipe, held = process.stdout.fileno(), bytearray()
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    left_s = WALL_FLOOR_S + WALL_FACTOR * cpu_s
    while True:
        started = time.monotonic()
        ready = poll.poll(1000 * LOOK_S)
        left_s -= time.monotonic() - started
        if not ready:
            _check_wanted(options, left_s)
            continue
        data = os.read(pipe, READ_BYTES)
        if not data:
            return
        held += data
        while len(held) >= FRAME_BYTES:
            size = int.from_bytes(held[:FRAME_BYTES], "big")
            if size > MAX_FRAME_BYTES:
                raise damaged()
            if len(held) < FRAME_BYTES + size:
                break
            frame = bytes(held[FRAME_BYTES : FRAME_BYTES + size])
            del held[: FRAME_BYTES + size]
            yield frame


def _check_wanted(options: ReadOptions, left_s: float) -> None:
    """Raise if reading takes too long or the client has gone.

    Raises:
        LimitExceeded: past the deadline.
        Unavailable: the client has gone.
    """
    if left_s < 0:
        raise LimitExceeded(f"the file takes too long to read: {options.remedy}", code="too_large")
    if options.gone():
        raise Unavailable("the client has disconnected", code="client_gone")


def _ended(process: subprocess.Popen[bytes], options: ReadOptions, cpu_s: int) -> Exception:
    """Return the error for a process that ended before it had read the whole file."""
    status = process.wait()
    memory_mib = options.memory_bytes >> 20
    _log.warning("reader of a file ended", extra={"status": status})
    if status == OUT_OF_MEMORY:
        return LimitExceeded(
            f"the file needs more than {memory_mib} MiB of memory to be read: {options.remedy}",
            code="too_large",
        )
    if status == -signal.SIGXCPU:
        return LimitExceeded(
            f"the file needs more than {cpu_s} s of processor time to be read: {options.remedy}",
            code="too_large",
        )
    if status == -signal.SIGKILL:
        return Unavailable("reading the file was interrupted", code="interrupted")
    return InvalidInput(
        f"the file cannot be read: it is damaged, or needs more than {memory_mib} MiB of memory",
        code="damaged",
    )


def damaged() -> InvalidInput:
    """Return the error for data of the wrong form."""
    return InvalidInput("the file cannot be read", code="damaged")


def _refusal(error: dict[str, Any]) -> Exception:
    message, code, field = str(error["message"]), str(error["code"]), error["field"]
    if error["kind"] == "Unavailable":
        return Unavailable(message, code=code, retry_after_s=30)
    if error["kind"] == "LimitExceeded":
        limits = {name: error[name] for name in ("limit", "asked")}
        return LimitExceeded(message, code=code, field=field, **limits)
    params = error["params"] if len(orjson.dumps(error["params"])) <= MAX_PARAMS_BYTES else {}
    return InvalidInput(message, code=code, field=field, params=params)


def _block(message: dict[str, Any], options: ReadOptions) -> Block:
    """Build a block from the process's message, and reject one of the wrong form."""
    n_rows, columns, crs = message["n_rows"], message["columns"], message["crs"]
    whole = 0 < n_rows <= options.n_rows and all(
        name in _COLUMNS and len(values) == n_rows for name, values in columns.items()
    )
    broken = {int(place): str(reason) for place, reason in message["broken"].items()}
    no_place = {int(place): str(reason) for place, reason in message["no_place"].items()}
    named = crs is None or crs == options.mapping.crs or KNOWN_CRS.fullmatch(crs)
    if not whole or not named or any(place >= n_rows for place in (*broken, *no_place)):
        raise damaged()
    reading = Reading.from_json(message["reading"])
    plan = ColumnPlan(
        {}, crs, message["time_format"], reading.preset, tuple(message["personal"]), reading
    )
    return Block(columns, n_rows, broken, plan, no_place)
