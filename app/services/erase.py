"""Erasing incidents: gone from every table, the versions that learnt from them marked and replaced."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Engine

from app.domain.errors import NotFound
from app.services.register import TRAIN_LOCK
from app.services.train import TrainingRequest, queue_training
from app.storage import audit, registry
from app.storage import erasures as store
from app.storage.database import transaction_lock
from app.storage.incident_writes import INGEST_LOCK
from app.storage.regions import drop_unused_categories, get_region
from app.storage.releases import forgive_erasure


@dataclass(frozen=True)
class ErasureResult:
    """How many incidents are gone, which versions had learnt from them, which run replaces them."""

    n_incidents: int
    versions: list[str]
    run_id: UUID | None


def erase_incident(engine: Engine, region_id: str, external_id: str) -> ErasureResult:
    """Delete an incident and what its history kept of it.

    In the same transaction the versions that had learnt from it are marked, and where the champion
    is one of them a training is queued that replaces it.

    Raises:
        NotFound: no such region or incident.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        result = erase_within(connection, region.key, external_id)
        if result is None:
            raise NotFound("the region holds no incident of that external id", field="external_id")
        return result


def erase_within(connection: Connection, region_key: int, external_id: str) -> ErasureResult | None:
    """`erase_incident` inside the caller's transaction; None when there is no such incident."""
    _lock(connection, region_key)
    gone = store.erase_by_external_id(connection, region_key, external_id)
    if gone.n_incidents + gone.n_past == 0:
        return None
    return _finish(connection, region_key, "incident", gone)


def erase_upload(engine: Engine, region_id: str, upload_id: int) -> ErasureResult:
    """Delete all that an upload brought, and what was kept of the upload itself.

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
    """No merge is under way, which could correct what is being erased and keep its form before."""
    transaction_lock(connection, INGEST_LOCK, region_key)
    transaction_lock(connection, TRAIN_LOCK, region_key)


def _finish(
    connection: Connection, region_key: int, what: str, gone: store.Erased
) -> ErasureResult:
    versions = store.dependent_versions(connection, region_key, gone)
    drop_unused_categories(connection, region_key)
    forgive_erasure(connection, region_key)
    erasure_id = store.keep_erasure(connection, region_key, what, gone.n_incidents, versions)
    # Not which one: the log keeps for ever what it is told.
    audit.record_for(connection, "erase", region_key, what=what, incidents=gone.n_incidents)
    champion = registry.champion(connection, region_key)
    touched = champion is not None and champion.version in versions
    if not touched and not store.is_training(connection, region_key):
        return ErasureResult(gone.n_incidents, versions, None)
    run_id = _retrain(connection, region_key)
    store.set_retraining(connection, erasure_id, run_id)
    return ErasureResult(gone.n_incidents, versions, run_id)


def _retrain(connection: Connection, region_key: int) -> UUID:
    """Queue what the champion was trained with; a thousand erasures in a row queue one run."""
    champion = registry.champion(connection, region_key)
    request = TrainingRequest()
    if champion is not None:
        version = registry.sound_version(connection, region_key, champion.version)
        if version is not None and version.settings:
            request = TrainingRequest.from_json(version.settings)
    waiting = store.queued_run(connection, region_key, request.to_json())
    return waiting or queue_training(connection, region_key, request).id
