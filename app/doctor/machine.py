"""The machine: the home and its files, disks, and what is left of homes that are gone."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from app.core.devserver.cluster import HOME_FILE, ROOT_CLUSTERS, find
from app.core.private_files import OTHERS, OURS
from app.core.setting_values import can_be_made
from app.core.settings import Settings
from app.doctor.findings import Finding, finding

LOW_TIMES = 4
"""A disk with less than so many times the reserve is reported before uploads are refused."""
MIN_FREE_INODES = 0.01


def check_home(settings: Settings) -> Iterator[Finding]:
    """Find a home that cannot be written, or whose files others can read or own."""
    home = settings.home.expanduser()
    if not can_be_made(home):
        yield finding("home_not_writable", path=str(home))
    if not home.exists():
        return
    found = home.stat()
    # The embedded server's group may pass through root's home, see app/core/devserver/server.py.
    may_pass = stat.S_IXGRP if os.geteuid() == 0 or found.st_uid == 0 else 0
    if stat.S_IMODE(found.st_mode) & OTHERS & ~may_pass:
        yield finding("home_open", path=str(home))
    for path in (home / name for name in OURS):
        if path.is_symlink() or not path.exists():
            continue
        if path.stat().st_mode & OTHERS:
            yield finding("file_open", path=str(path))
        if os.geteuid() not in (0, path.stat().st_uid):
            yield finding("lock_not_ours", path=str(path))


def check_disks(settings: Settings) -> Iterator[Finding]:
    """Find disks that are nearly full: of the home, the embedded database and temporary files."""
    home = settings.home.expanduser()
    cluster = find(home) if settings.database_url is None else None
    yield from check_places([there(home), *([cluster.data] if cluster else [])], settings)
    temporary = tempfile.gettempdir()
    free = shutil.disk_usage(temporary).free
    if free < settings.max_body_bytes:
        sizes = {"free_mb": free >> 20, "wanted_mb": settings.max_body_bytes >> 20}
        yield finding("temporary_folder_small", path=temporary, **sizes)


def check_places(
    places: Iterable[Path], settings: Settings, seen: Iterable[int] = ()
) -> Iterator[Finding]:
    """Find disks that are nearly full, each once.

    Args:
        places: existing folders on them.
        seen: devices that are looked at elsewhere.
    """
    known, reserve = set(seen), settings.disk_reserve_bytes
    for place in places:
        if place.stat().st_dev in known:
            continue
        known.add(place.stat().st_dev)
        free = shutil.disk_usage(place).free
        sizes = {"path": str(place), "free_mb": free >> 20}
        if free < reserve:
            yield finding("disk_full", reserve_mb=reserve >> 20, **sizes)
        elif free < LOW_TIMES * reserve:
            yield finding("disk_low", **sizes)
        inodes = os.statvfs(place)
        if inodes.f_files and inodes.f_favail < MIN_FREE_INODES * inodes.f_files:
            yield finding("inodes_low", path=str(place))


def there(path: Path) -> Path:
    """Return the nearest folder of a path that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def check_lost_clusters(_settings: Settings) -> Iterator[Finding]:
    """Find databases of root's embedded servers whose home was removed: half a gigabyte each."""
    for marker in sorted(ROOT_CLUSTERS.glob(f"*/{HOME_FILE}")) if ROOT_CLUSTERS.exists() else ():
        home = Path(marker.read_text())
        if not home.exists():
            yield finding("cluster_lost", path=str(marker.parent), home=str(home))
