"""Replies that the API processes of a machine share through files of their home.

A reply is found under a digest of everything that it depends on: its key in the process's own cache, the
seal of its version, its region's and the software's state. The caller is no part of it, as in that cache:
who may not see a version never gets a plan of it. Replies of versions that are withheld from readers stay
in memory. Files of a region lie in a folder named by its last erasure: after another, none of them is found,
and every process deletes them within seconds.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

import app
import models
from app.core.caching.file_cache import FileCache
from app.core.db.engine import translate_errors
from app.core.errors import HotslotError
from app.registry.erasure_marks import Epoch, epochs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.core.settings import Settings
    from app.forecasts.plan import Plan
    from app.forecasts.versions.loaded import LoadedVersion

SWEEP_EVERY_S = 5.0
FOLDER = Path("cache", "replies")
MAX_SHARED_BYTES = 4 << 20
"""Larger replies are rare, and computing them is not what takes longest."""
_log = logging.getLogger("hotslot.cache")


def shared_files(settings: Settings) -> FileCache:
    """Return the files of the replies that processes with this home share."""
    return FileCache(
        settings.home / FOLDER, settings.shared_cache_bytes, settings.disk_reserve_bytes
    )


@dataclass(frozen=True)
class Encoded:
    """An encoded body and its provenance headers."""

    body: bytes
    encoding: str | None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.body)


class SharedReplies:
    """Replies in files; one instance per process, shared by its threads.

    Args:
        forget_region: called with the id of a region of which something was erased, or that was changed or
            removed, by whichever process.
    """

    def __init__(
        self, engine: Engine, files: FileCache, forget_region: Callable[[str], None]
    ) -> None:
        self.engine = engine
        self.files = files
        self.forget_region = forget_region
        self.epochs: dict[int, Epoch] = {}
        """Of all regions by key, at most `SWEEP_EVERY_S` old."""
        self._is_failing = False
        _code()  # reads some hundred files, which the first request would wait for

    def get(self, plan: Plan, key: tuple[object, ...]) -> Encoded | None:
        """Return the reply under a key, or None if no process has shared it."""
        owner = self._owner(plan.version)
        content = None if owner is None else self.files.get(owner, _name(plan, key))
        if content is None:
            return None
        head, _, body = content.partition(b"\n")
        encoding, headers = orjson.loads(head)
        return Encoded(body, encoding, headers)

    def put(self, plan: Plan, key: tuple[object, ...], made: Encoded) -> None:
        """Share a reply, unless its version is withheld from readers or older than an erasure."""
        owner = self._owner(plan.version)
        if owner is None or len(made) > MAX_SHARED_BYTES:
            return
        content = orjson.dumps([made.encoding, dict(made.headers)]) + b"\n" + made.body
        self.files.put(owner, _name(plan, key), content)

    def _owner(self, version: LoadedVersion) -> str | None:
        """Return the folder of a version's replies; None: they are not shared."""
        key, epoch = version.record.region_key, version.epoch
        if version.withheld or epoch is None or self.epochs.get(key) != epoch:
            return None
        return epoch.owner

    def drop(self, region_id: str) -> list[int]:
        """Delete the files of a region; return its keys."""
        keys = [key for key, epoch in self.epochs.items() if epoch.region == region_id]
        for key in keys:
            self.files.drop(f"{key}-")
        return keys

    def refresh_if_possible(self) -> None:
        """Refresh; log failures once and try again at the next call."""
        try:
            with translate_errors():
                self.refresh()
            self._is_failing = False
        except (HotslotError, SQLAlchemyError) as error:
            if not self._is_failing:
                _log.warning(
                    "the shared cache waits for the database", extra={"reason": str(error)}
                )
            self._is_failing = True

    def refresh(self) -> None:
        """Learn what was erased or changed, forget it in this process, and sweep the files."""
        with self.engine.connect() as connection:
            known, self.epochs = self.epochs, epochs(connection)
        for key, epoch in known.items():
            if self.epochs.get(key) != epoch:
                self.forget_region(epoch.region)
        self.files.sweep({epoch.owner for epoch in self.epochs.values()})


def _name(plan: Plan, key: tuple[object, ...]) -> str:
    """Return the name of a reply: a digest of its key and of what a process keeps constant behind it."""
    version, state = plan.version, plan.version.state
    region = version.region
    more = (
        bytes(version.record.seal),
        None if state is None else state.record.created_at,
        (region.id, region.created_at, region.timezone, region.boundary_derived),
        sorted(version.shown_categories),
        _code(),
    )
    return hashlib.sha256(repr((key, more)).encode()).hexdigest()


@cache
def _code() -> str:
    """Return a digest of the software's files by size and time: another release shares nothing."""
    found = hashlib.sha256()
    for package in (app, models):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            stat = path.stat()
            found.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return found.hexdigest()
