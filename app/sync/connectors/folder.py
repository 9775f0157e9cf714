"""A drop folder: files that others put below the operator's root, `HOTSLOT_SOURCE_FOLDER`."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from app.core.errors import InvalidInput, SourceFailed
from app.core.settings import Settings
from app.core.texts import shortened
from app.readers.files.decoding import READ_BYTES
from app.sync.connectors.drops import MAX_FILES, DroppedFile, drop_pages
from app.sync.connectors.pages import Page, State
from app.sync.connectors.visit import Visit
from app.sync.spec import SourceSpec

MAX_DEPTH = 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would block


def folder_parts(url: str) -> list[str]:
    """Return the names of the folders in `folder:NAME/...`, below the root.

    Raises:
        InvalidInput: it has another form, or would lead out of the root.
    """
    scheme, colon, path = url.partition(":")
    parts = path.removesuffix("/").split("/")
    plain = all(part.isprintable() and not part.startswith(".") and part for part in parts)
    if scheme != "folder" or not colon or not plain or len(parts) > MAX_DEPTH:
        raise InvalidInput(
            "a drop folder is folder:NAME or folder:NAME/NAME, below HOTSLOT_SOURCE_FOLDER; no name "
            f"begins with a dot, at most {MAX_DEPTH} names",
            field="url",
        )
    return parts


def folder_root(settings: Settings) -> Path:
    """Return the root of all drop folders.

    Raises:
        InvalidInput: the operator has set none.
    """
    if settings.source_folder is None:
        raise InvalidInput(
            "drop folders are not allowed here: an operator can set HOTSLOT_SOURCE_FOLDER",
            field="url",
            code="folder_not_allowed",
        )
    return settings.source_folder


def folder_pages(visit: Visit, spec: SourceSpec, state: State) -> Iterator[Page]:
    """Yield the new files of a drop folder.

    Raises:
        SourceFailed: there is no such folder.
    """
    with _opened(folder_root(visit.settings), folder_parts(spec.url)) as folder:
        yield from drop_pages(visit, spec, Folder(folder, visit), state)


@contextmanager
def _opened(root: Path, parts: Sequence[str]) -> Iterator[int]:
    """Open a folder step by step, so that no link, whenever it is made, leads out of the root."""
    folder = -1
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError as error:
        if folder >= 0:
            os.close(folder)
        raise SourceFailed(
            f"folder {shortened('/'.join(parts))} below HOTSLOT_SOURCE_FOLDER cannot be opened "
            f"({error.strerror}); links are refused",
            code="no_folder",
        ) from error
    try:
        yield folder
    finally:
        os.close(folder)


class Folder:
    """An open folder."""

    def __init__(self, folder: int, visit: Visit) -> None:
        self._folder = folder
        self._visit = visit

    def list(self) -> Sequence[DroppedFile]:
        """List the folder, at most one entry more than is allowed."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    found.append(_listed(entry.name, entry.stat(follow_symlinks=False)))
                except FileNotFoundError:  # removed meanwhile
                    continue
                if len(found) > MAX_FILES:
                    break
        return found

    def copy(self, dropped: DroppedFile, into: IO[bytes], max_bytes: int) -> str | None:
        """Copy a file; return its SHA-256, or None if it is no longer what was listed."""
        if dropped.size > max_bytes:
            raise SourceFailed(f"{dropped.name} is over {max_bytes} bytes", code="too_large")
        try:
            handle = os.open(dropped.name, _FILE, dir_fd=self._folder)
        except OSError:
            return None
        digest = hashlib.sha256()
        rest = dropped.size
        with os.fdopen(handle, "rb") as file:
            while rest > 0 and _listed(dropped.name, os.fstat(handle)) == dropped:
                self._visit.check()
                chunk = file.read(min(READ_BYTES, rest))
                if not chunk:
                    return None
                rest -= len(chunk)
                digest.update(chunk)
                into.write(chunk)
            if _listed(dropped.name, os.fstat(handle)) != dropped:
                return None
        into.seek(0)
        return digest.hexdigest()


def _listed(name: str, found: os.stat_result) -> DroppedFile:
    return DroppedFile(name, found.st_size, found.st_mtime_ns, stat.S_ISREG(found.st_mode))
