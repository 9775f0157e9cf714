"""Files that appear in a folder, here or behind SFTP: each is read once, when it is complete.

A file is complete when its size and time are the same at two looks, and still after it was copied. Which
files were read is part of the cursor, by name, size and time (so they are not copied again) and by digest (so
a file that was renamed or touched is not read again).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import IO, Any, Protocol

from app.core.errors import SourceFailed
from app.runs.words import RUN_MESSAGES
from app.sync.connectors.files import file_page, type_of_name
from app.sync.connectors.pages import Page, State
from app.sync.connectors.visit import Visit
from app.sync.spec import SourceSpec

MAX_FILES = 5_000
"""In a folder, and remembered."""
MAX_STATE_BYTES = 2_000_000
DIGEST_CHARS = 32


@dataclass(frozen=True)
class DroppedFile:
    """An entry of a folder.

    Args:
        size: in bytes.
        changed: when it was changed, in whatever unit the folder counts.
        is_plain: False for links, folders and devices.
    """

    name: str
    size: int
    changed: int
    is_plain: bool = True


class Drop(Protocol):
    """A folder in which files appear."""

    def list(self) -> Sequence[DroppedFile]:
        """List the folder."""

    def copy(self, dropped: DroppedFile, into: IO[bytes], max_bytes: int) -> str | None:
        """Copy a file; return its SHA-256, or None if it is no longer what was listed.

        Raises:
            SourceFailed: it is over `max_bytes`.
        """


class Known:
    """The files that were read: [name, size, changed, digest], the latest last."""

    def __init__(self, state: State) -> None:
        self._rows: list[list[Any]] = [list(row) for row in state.get("files", [])]
        self._looks = {tuple(row[:3]) for row in self._rows}
        self._digests = {row[3] for row in self._rows}

    def seen(self, dropped: DroppedFile) -> bool:
        """Return whether a file of this name, size and time was read."""
        return (dropped.name, dropped.size, dropped.changed) in self._looks

    def has(self, digest: str) -> bool:
        """Return whether these bytes were read."""
        return digest[:DIGEST_CHARS] in self._digests

    def with_file(self, dropped: DroppedFile, digest: str) -> State:
        """Note a file and return the cursor."""
        row = [dropped.name, dropped.size, dropped.changed, digest[:DIGEST_CHARS]]
        self._rows = [*(r for r in self._rows if r[0] != dropped.name or r[3] != row[3]), row]
        self._rows = self._rows[-MAX_FILES:]
        self._looks.add((dropped.name, dropped.size, dropped.changed))
        self._digests.add(row[3])
        return {"files": self._rows}


def drop_pages(visit: Visit, spec: SourceSpec, drop: Drop, state: State) -> Iterator[Page]:
    """Yield each new file as one page, the oldest first; `state` holds the `files` that were read.

    Raises:
        SourceFailed: the folder has too many entries, or a file is too large.
    """
    known = Known(state)
    new = [file for file in _wanted(drop.list(), spec) if not known.seen(file)]
    if not new:
        yield Page(state, share=1.0, message=RUN_MESSAGES.make("source_no_new_file"))
        return
    visit.wait(visit.settings.source_settle_s)
    now = set(_wanted(drop.list(), spec))
    complete = sorted(
        (file for file in new if file in now and file.is_plain and file.size),
        key=lambda file: (file.changed, file.name),
    )
    n_read = n_again = 0
    for place, dropped in enumerate(complete, 1):
        visit.check()
        with tempfile.TemporaryFile() as copy:
            digest = drop.copy(dropped, copy, visit.settings.max_body_bytes)
            if digest is None:
                continue
            share, again = place / len(complete), known.has(digest)
            state = known.with_file(dropped, digest)
            n_read, n_again = n_read + (not again), n_again + again
            if again:
                read_before = RUN_MESSAGES.make("source_file_known", name=dropped.name)
                yield Page(state, share=share, message=read_before)
                continue
            content_type = type_of_name(dropped.name) or "text/csv"
            reading = RUN_MESSAGES.make("source_file", name=dropped.name)
            yield file_page(
                copy, state, content_type, spec.mapping, reading, share=share, name=dropped.name
            )
    n_links = sum(not file.is_plain for file in new)
    n_waiting = len(new) - n_links - n_read - n_again
    counts = {
        "read": n_read,
        "with content that was read before": n_again,
        "not complete yet": n_waiting,
        "refused, which are links or no files": n_links,
    }
    details = [f"{n:,} {what}" for what, n in counts.items() if n or what == "read"]
    said = RUN_MESSAGES.make(
        "source_files", n_read=n_read, n_known=n_again, n_waiting=n_waiting, n_refused=n_links
    )
    yield Page(state, share=1.0, message=replace(said, message="files: " + ", ".join(details)))


def _wanted(files: Sequence[DroppedFile], spec: SourceSpec) -> list[DroppedFile]:
    """Leave out hidden and temporary files, other formats and, with a pattern, other names."""
    if len(files) > MAX_FILES:
        raise SourceFailed(
            f"the folder has over {MAX_FILES:,} entries; move what was read to another one",
            code="too_large",
        )
    return [
        file
        for file in files
        if not file.name.startswith((".", "~"))
        and file.name.isprintable()
        and type_of_name(file.name) is not None
        and (spec.dataset is None or fnmatchcase(file.name, spec.dataset))
    ]
