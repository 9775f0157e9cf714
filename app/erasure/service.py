"""Erase incidents from every table, and delete results that were made from few incidents.

Versions that learnt from many are marked and the champion is replaced; see `erasure_traces`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.db.locks import INGEST_LOCK, STATE_LOCK, TRAIN_LOCK, UNITS_LOCK, transaction_lock
from app.core.errors import Conflict, NotFound
from app.core.texts import shortened
from app.erasure import store
from app.evaluation.backtests.sharing.unit_store import drop_units
from app.incidents.placing import follow_incidents
from app.incidents.uploads.erasure import forget_uploads
from app.monitoring import live_score_store as live_scores
from app.regions.category_store import drop_unused_categories
from app.regions.store import get_region
from app.register.service import forget_erased
from app.registry import erasure_traces as traces
from app.registry import store as registry
from app.registry.artifacts import ArtifactCorrupt
from app.registry.champions import get_champion, promote, remove_champion
from app.registry.erasure_marks import marked_versions
from app.registry.history import earlier_champions
from app.registry.integrity import key_artifacts
from app.registry.retention import collect, hold_collection
from app.releases.groups import unpin
from app.releases.store import forget_sizes
from app.runs.store import request_run
from app.states.store import drop_states
from app.streets.store import drop_shares
from app.training.service import TrainingRequest

NamedBy = Literal["external_id", "id", "reference"]
WAYS: tuple[NamedBy, ...] = get_args(NamedBy)


@dataclass(frozen=True)
class ErasureResult:
    """The number of erased incidents, and the consequences for versions that had learnt from them.

    Args:
        versions: those that stay, marked.
        run_id: the training that replaces the champion.
        dropped: versions of few incidents, which are deleted too.
        serves: the champion now; None: nothing is served until the training has finished.
    """

    n_incidents: int
    versions: list[str]
    run_id: UUID | None
    dropped: list[str] = field(default_factory=list)
    serves: str | None = None


def erase_incident(
    engine: Engine,
    region_id: str,
    given: str,
    *,
    by: NamedBy | None = None,
    feed: str | None = None,
) -> ErasureResult:
    """Delete an incident and its history.

    In the same transaction versions that learnt from it and few others are deleted, other dependent
    versions are marked, and if the champion is among them a training is queued that replaces it.

    Args:
        given: its external id, the id that the listing shows, or a reference, which may be that of
            several incidents: all are erased.
        by: which of them; None: what it is, if it can be only one.
        feed: of the external id or reference.

    Raises:
        NotFound: no such region or incident.
        Conflict: it may be several things.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        result = erase_within(connection, region.key, given, by=by, feed=feed)
        if result is None:
            # The id is not repeated: it may be that of an erased incident.
            raise NotFound(
                "the region has no incident with that external id, id or reference",
                field="external_id",
            )
        return result


def erase_within(
    connection: Connection,
    region_key: int,
    given: str,
    *,
    by: NamedBy | None = None,
    feed: str | None = None,
) -> ErasureResult | None:
    """Run `erase_incident` in the caller's transaction; return None if there is no such incident."""
    _lock(connection, region_key)
    ids = _chosen(store.named_incidents(connection, region_key, given), by, feed)
    if not ids:
        return None
    gone = store.erase_by_ids(connection, region_key, ids)
    return _finish(connection, region_key, "incident", gone)


def _chosen(named: list[store.NamedIncident], by: NamedBy | None, feed: str | None) -> list[int]:
    """Return the incidents that a text means.

    Raises:
        Conflict: it may mean several.
    """
    meant = {
        way: {one for one in named if getattr(one, f"by_{way}") and _in_feed(one, way, feed)}
        for way in WAYS
        if by in (None, way)
    }
    ways = [way for way, found in meant.items() if found]
    # An incident that has its id as external id too is one and the same.
    if len({frozenset(one.id for one in meant[way]) for way in ways}) > 1:
        raise Conflict(
            f"that is the {' and the '.join(ways)} of different incidents; send "
            f"{' or '.join(f'by={way}' for way in ways)}",
            code="ambiguous_id",
            field="by",
            params={"by": ways},
        )
    found = meant[ways[0]] if ways else set()
    feeds = sorted({one.feed for one in found})
    if len(feeds) > 1:
        raise Conflict(
            f"that is in the feeds {', '.join(map(shortened, feeds))}; send feed=, or "
            "the id that the listing shows with by=id",
            code="ambiguous_id",
            field="feed",
            params={"feeds": feeds},
        )
    return sorted({one.id for one in found})


def _in_feed(one: store.NamedIncident, way: NamedBy, feed: str | None) -> bool:
    return way == "id" or feed is None or one.feed == feed


def erase_upload(engine: Engine, region_id: str, upload_id: int) -> ErasureResult:
    """Delete an upload and all incidents that it brought.

    Raises:
        NotFound: no such region or upload.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        _lock(connection, region.key)
        gone = store.erase_by_upload(connection, region.key, upload_id)
        if gone is None:
            raise NotFound(f"no such upload: {upload_id}", field="upload")
        return _finish(connection, region.key, "upload", gone)


def _lock(connection: Connection, region_key: int) -> None:
    """Exclude merges, which could restore what is being erased, assimilations and registrations.

    Registrations of any region could name an artifact that is deleted with a version.
    """
    transaction_lock(connection, INGEST_LOCK, region_key)
    transaction_lock(connection, STATE_LOCK, region_key)
    hold_collection(connection)
    transaction_lock(connection, TRAIN_LOCK, region_key)
    transaction_lock(connection, UNITS_LOCK, region_key)


def _finish(
    connection: Connection, region_key: int, what: str, gone: store.Erased
) -> ErasureResult:
    dependent = store.dependent_versions(connection, region_key, gone)
    vanished = drop_unused_categories(connection, region_key)
    found = (connection, region_key, dependent, gone.categories, vanished)
    dropped = traces.versions_of_few(*found)
    marked = [version for version in dependent if version not in dropped]
    erasure_id = store.store_erasure(
        connection, region_key, what, gone.n_incidents, marked, len(dropped)
    )
    request, touched = _champions_request(connection, region_key, vanished, {*marked, *dropped})
    serves = _leave_to_others(connection, region_key, dropped)
    if key_artifacts(connection, region_key, marked):
        collect(connection)
    traces.drop_versions(connection, region_key, dropped)
    if gone.inserted_at is not None:
        traces.drop_backtests(connection, region_key, gone.inserted_at)
    traces.forget_names(connection, region_key, vanished)
    forget_uploads(connection, region_key, gone.uploads)
    follow_incidents(connection, region_key)
    live_scores.drop_region_days(connection, region_key, gone.days)
    forget_sizes(connection, region_key)
    unpin(connection, region_key, gone.days)
    drop_states(connection, region_key)
    drop_shares(connection, region_key)
    forget_erased(connection, region_key, gone.inserted_at, gone.days, dropped)
    drop_units(connection, region_key)
    # Not which incident: audit entries are permanent.
    details: dict[str, Any] = {
        "what": what,
        "incidents": gone.n_incidents,
        "versions": len(dropped),
    }
    audit.record_for(connection, "erase", region_key, **details)
    run_id = None
    if touched or store.is_training(connection, region_key):
        run_id = retrain(connection, region_key, request)
        store.set_retraining(connection, erasure_id, run_id)
    return ErasureResult(gone.n_incidents, marked, run_id, dropped, serves)


def _champions_request(
    connection: Connection, region_key: int, vanished: list[str], affected: set[str]
) -> tuple[TrainingRequest, bool]:
    """Return the request that retrains the champion, and whether it was affected."""
    champion = get_champion(connection, region_key)
    if champion is None:
        return TrainingRequest(), False
    version = registry.sound_version(connection, region_key, champion.version)
    request = TrainingRequest()
    if version is not None and version.settings:
        request = TrainingRequest.from_json(version.settings)
    left = [name for name in request.categories or [] if name not in vanished] or None
    return replace(request, categories=left), champion.version in affected


def _leave_to_others(connection: Connection, region_key: int, dropped: list[str]) -> str | None:
    """If the champion is dropped, promote the last earlier one that is not affected.

    Returns:
        The champion's version afterwards; None if there is none until the next training.
    """
    champion = get_champion(connection, region_key)
    if champion is None or champion.version not in dropped:
        return None if champion is None else champion.version
    marked = marked_versions(connection, region_key)
    reason = "the champion had learnt from few incidents, of which some are erased"
    for earlier in earlier_champions(connection, region_key, champion.version):
        if earlier.version in marked or earlier.version in dropped:
            continue
        with suppress(ArtifactCorrupt):
            promote(connection, region_key, earlier.version, reason)
            return earlier.version
    remove_champion(connection, region_key)
    return None


def retrain(connection: Connection, region_key: int, request: TrainingRequest) -> UUID:
    """Queue a training, unless an equal one is queued: many erasures in a row queue one run."""
    waiting = store.queued_run(connection, region_key, request.to_json())
    return waiting or request_run(connection, "train", region_key, request).id
