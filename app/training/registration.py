"""Registration of a trained version: artifact, grids, promotion and outcome in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from app.audit import store as audit
from app.core.db.locks import TRAIN_LOCK, transaction_lock
from app.core.db.tables import training_runs
from app.core.errors import Conflict
from app.core.messages import Message
from app.fitting.data import TrainingData
from app.regions.store import get_region_by_key
from app.registry import store as registry
from app.registry.artifacts import pack, store_artifact, store_grid
from app.registry.champions import Champion, get_champion, promote
from app.registry.erasure_marks import mark_if_late, marked_versions, since_start
from app.registry.erasure_traces import lost_few
from app.registry.integrity import version_name
from app.registry.retention import hold_unnamed
from app.registry.version_registration import register_version
from app.registry.visibility import is_registered, is_too_near, release, withhold
from app.runs.store import Run, finish_run
from app.training.promotion_policy import PROMOTION_REASONS, REPLACES_ERASED
from app.training.report import probability_tables, provenance
from app.training.validation import Validation
from models.base import DensityModel, FitContext


@dataclass(frozen=True)
class Fitted:
    """Results of a training; `request` is that of the run, as JSON, `durations_s` is by step."""

    request: Mapping[str, Any]
    data: TrainingData
    model: DensityModel
    counts: dict[str, Any]
    report: dict[str, Any]
    validation: Validation | None
    context: FitContext
    durations_s: Mapping[str, float]

    @property
    def cutoff(self) -> datetime:
        """End of the data."""
        return datetime.fromtimestamp(self.data.cutoff_s, UTC)


def register(engine: Engine, run: Run, fitted: Fitted) -> None:
    """Store the version, promote it if the policy agrees, and end the run, in one transaction.

    Raises:
        Superseded: another worker has taken over the run; nothing is stored.
    """
    tables = probability_tables(fitted.model)
    content, sha256 = _artifact(fitted, tables)
    with engine.begin() as connection:
        hold_unnamed(connection)
        transaction_lock(connection, TRAIN_LOCK, run.region_key)
        _check_not_erased(connection, run, fitted)
        _check_not_changed(connection, fitted)
        store_artifact(connection, content, sha256)
        data = fitted.data
        grid_sha256 = store_grid(connection, data.grid, data.area.to_geojson())
        name = version_name(fitted.model.name, fitted.cutoff, sha256, grid_sha256)
        current = get_champion(connection, run.region_key)
        wins, reason = _verdict(connection, run.region_key, name, fitted, current)
        new = _version(run, fitted, name, (sha256, grid_sha256))
        new.gate.update(promote=wins, reason=reason.message)
        known = is_registered(connection, run.region_key, name)
        register_version(connection, new, tables)
        if _may_be_shown(connection, new, fitted) or reason.code == REPLACES_ERASED:
            release(connection, run.region_key, name)
        elif not known:
            withhold(connection, run.region_key, name)
        mark_if_late(connection, run.region_key, name, run.id)
        if wins and (current is None or current.version != name):
            revision = current.revision if current else 0
            promote(connection, run.region_key, name, reason.message, revision)
        _finish(connection, run, fitted, new, reason)


def _finish(
    connection: Connection, run: Run, fitted: Fitted, new: registry.NewVersion, reason: Message
) -> None:
    """End the run with its metrics and say in the audit log what it came to."""
    outcome = {"promoted": new.gate["promote"], "reason": new.gate["reason"]}
    metrics = {
        "n_incidents": len(fitted.data.incidents),
        "seconds": round(sum(fitted.durations_s.values()), 1),
        **outcome,
        "scores": new.scores,
    }
    kind = "promoted" if outcome["promoted"] else "registered as challenger"
    finish_run(
        connection,
        "train",
        run,
        "succeeded",
        reason,
        f"{kind}: {reason.message}",
        model_version=new.version,
        metrics=metrics,
    )
    audit.record_for(
        connection,
        "training.finished",
        run.region_key,
        actor=f"run:{run.id}",
        version=new.version,
        **outcome,
    )


def _may_be_shown(connection: Connection, new: registry.NewVersion, fitted: Fitted) -> bool:
    """Return whether readers may see a version in addition to those that they already see."""
    place = (new.region_key, new.version, new.n_incidents)
    chosen = fitted.request["categories"]
    return fitted.data.released and not is_too_near(connection, *place, chosen)


def _check_not_erased(connection: Connection, run: Run, fitted: Fitted) -> None:
    """Check that no training data with few incidents were partly erased during the run.

    Raises:
        Conflict: they were; the training that the erasure has queued follows this one.
    """
    if not since_start(connection, training_runs, run.region_key, run.id):
        return
    read = fitted.data.read_counts
    if lost_few(connection, run.region_key, run.id, fitted.cutoff, read):
        raise Conflict(
            "some of the few training incidents have been erased meanwhile; another training is queued",
            code="erased_meanwhile",
        )


def _check_not_changed(connection: Connection, fitted: Fitted) -> None:
    """Check that the region still has the area, CRS and time zone of the training data.

    Raises:
        Conflict: it has not.
    """
    region = fitted.data.region
    if get_region_by_key(connection, region.key).revision != region.revision:
        raise Conflict(
            "the region's area, CRS or time zone has been changed meanwhile; train again",
            code="region_changed",
        )


def _artifact(fitted: Fitted, tables: Mapping[int, NDArray[np.float64]]) -> tuple[bytes, str]:
    return pack(
        {
            "model": fitted.model.name,
            "data_hash": fitted.data.data_hash,
            "cutoff_s": fitted.data.cutoff_s,
            "seed": fitted.context.seed,
            "request": fitted.request,
        },
        {
            **{f"probability.{code}": t.astype(np.float32) for code, t in tables.items()},
            **dict(fitted.model.tensors()),
        },
    )


def _version(run: Run, fitted: Fitted, name: str, stored: tuple[str, str]) -> registry.NewVersion:
    artifact_sha256, grid_sha256 = stored
    return registry.NewVersion(
        region_key=run.region_key,
        version=name,
        model=fitted.model.name,
        artifact_sha256=artifact_sha256,
        grid_sha256=grid_sha256,
        run_id=run.id,
        data_hash=fitted.data.data_hash,
        n_incidents=len(fitted.data.incidents),
        cutoff=fitted.cutoff,
        seed=fitted.context.seed,
        categories=fitted.data.categories,
        settings=dict(fitted.request),
        provenance=provenance(fitted.context, fitted.durations_s),
        report=fitted.report,
        scores=fitted.validation.scores if fitted.validation else {},
        counts=fitted.counts,
        gate={},
    )


def _verdict(
    connection: Connection,
    region_key: int,
    name: str,
    fitted: Fitted,
    current: Champion | None,
) -> tuple[bool, Message]:
    """Return whether to make the version champion, and the reason."""
    why = PROMOTION_REASONS.make
    if current is None:
        return True, why("promoted_first")
    if current.version == name:
        return True, why("promoted_again")
    champion = registry.sound_version(connection, region_key, current.version)
    if champion is None:
        if fitted.request["categories"] is None:
            return True, why("promoted_for_damaged")
        return False, why("challenger_for_damaged")
    if _replaces_erased(connection, fitted, champion):
        return True, why(REPLACES_ERASED)
    if fitted.request["categories"] is not None:
        return False, why("challenger_some_categories")
    if fitted.cutoff < champion.cutoff:
        return False, why("challenger_older_data", until=f"{champion.cutoff:%Y-%m-%d}")
    if registry.grid_of(connection, champion)[0].cell_size_m != fitted.data.grid.cell_size_m:
        return True, why("promoted_for_cell_size")
    if fitted.validation is None:
        return False, why("challenger_not_validated")
    return fitted.validation.decision.promote, fitted.validation.decision.reason


def _replaces_erased(
    connection: Connection, fitted: Fitted, champion: registry.VersionRecord
) -> bool:
    """Return whether this repeats the champion's training without erased incidents."""
    if champion.version not in marked_versions(connection, champion.region_key):
        return False
    same = ("model", "categories", "until")
    return all(fitted.request.get(k) == champion.settings.get(k) for k in same)
