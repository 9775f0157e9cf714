"""What a training or a report reads of a release."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from app.core.errors import NotReady
from app.incidents.column_store import ReleaseCut
from app.incidents.releases import last_step, minimum_of
from app.regions.store import Region
from app.releases import store
from app.releases.groups import pin
from app.releases.small_counts import OTHER
from app.releases.store import LONG_AGO, MIN_GROUP, Release


def category_steps(connection: Connection, region: Region, release: Release) -> dict[int, int]:
    """Return {category key: the last release at which it had enough new incidents}."""
    minimum = minimum_of(region)
    counts = store.by_step(connection, region.key, release)
    return {
        key: step
        for key, steps in counts.items()
        if sum(n for _, n in steps) >= minimum and (step := last_step(steps))
    }


def reader_cut(
    connection: Connection, region: Region, release: Release, since: datetime = LONG_AGO
) -> ReleaseCut:
    """Return the cut of a release for repeatable reader requests, without categories.

    Args:
        since: where it starts; moved back to the release's instant before.
    """
    known = store.instants(connection, region.key)
    since = max((one for one in known if one <= since), default=LONG_AGO)
    pin(connection, region.key, release, since)
    return ReleaseCut(release.seq, known, {}, OTHER, pinned=True, since=since)


def release_cut(connection: Connection, region: Region, release: Release) -> ReleaseCut:
    """Return the cut that reads a release."""
    steps = category_steps(connection, region, release)
    return ReleaseCut(release.seq, store.instants(connection, region.key), steps, OTHER)


def found_release(connection: Connection, region: Region, seq: int) -> Release:
    """Find a release.

    Raises:
        NotReady: there is none.
    """
    found = store.get(connection, region.key, seq)
    if found is None:
        raise NotReady(
            f"fewer than {MIN_GROUP} incidents are released (before `until`); upload more, or choose a "
            "later `until`",
            code="too_few_released",
        )
    return found


def checked_release(connection: Connection, region: Region, seq: int) -> Release:
    """Find a release that is unchanged since it was made.

    Raises:
        NotReady: there is none, or a few of its incidents were corrected since, and comparing it with
            the earlier state would reveal them.
    """
    found = found_release(connection, region, seq)
    held = store.count_held(connection, region.key, found)
    gone = 0 if found.n_incidents is None else found.n_incidents - held
    if 0 < abs(gone) < MIN_GROUP:
        raise NotReady(
            f"fewer than {MIN_GROUP} incidents of this release were corrected since; "
            "train on a later one, or wait for the next",
            code="release_changed",
        )
    if held != found.n_incidents:
        store.change(connection, region.key, seq, n_incidents=held)
    return found
