"""Training: from a region's incidents to a registered version, and to the champion if it deserves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import torch
from sqlalchemy import Connection, Engine

from app.config import Settings
from app.domain.errors import InvalidInput, NotReady
from app.services.device import choose_device, choose_threads
from app.services.memorisation import memorisation_report
from app.services.slots import fit_counts
from app.services.training_data import TrainingData, load_training_data
from app.services.training_facts import data_facts, probability_tables, provenance
from app.services.validate import Validation, validate_model
from app.storage import audit, registry
from app.storage.artifacts import pack, store_artifact
from app.storage.database import transaction_lock
from app.storage.erasures import mark_if_late, marked_versions
from app.storage.queue import TRAIN_TASK, defer_job
from app.storage.regions import get_region
from app.storage.runs import Run, create_run, finish_run, get_run, request_cancel, set_job
from app.storage.stored_grids import store_grid
from models.base import DensityModel, FitContext
from models.catalog import MODEL_NAMES, create_model

TRAIN_LOCK = 0x686F7473
"""First half of the advisory lock that lets one training per region write at a time."""


@dataclass(frozen=True)
class TrainingRequest:
    """What to train: `until` trains only on incidents before it; `validate` scores it first."""

    model: str = "stack"
    categories: list[str] | None = None
    until: datetime | None = None
    seed: int | None = None
    validate: bool = True

    def checked(self) -> TrainingRequest:
        """Itself.

        Raises:
            InvalidInput: unknown model, naive time, empty categories, seed out of range.
        """
        if self.model not in MODEL_NAMES:
            raise InvalidInput(
                f"unknown model {self.model!r}; one of {', '.join(MODEL_NAMES)}", field="model"
            )
        if self.until is not None and self.until.tzinfo is None:
            raise InvalidInput("until needs a UTC offset", field="until")
        if self.categories is not None and not self.categories:
            raise InvalidInput("categories must be null or name at least one", field="categories")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise InvalidInput("seed must lie within 0..2^63-1", field="seed")
        return self

    def to_json(self) -> dict[str, Any]:
        """As kept in the run's row."""
        return {**asdict(self), "until": self.until.isoformat() if self.until else None}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrainingRequest:
        """The inverse of `to_json`."""
        until = value.get("until")
        return cls(**{**value, "until": datetime.fromisoformat(until) if until else None})


def request_training(
    engine: Engine, settings: Settings, region_id: str, request: TrainingRequest
) -> Run:
    """Queue a training run: its row and its job in one transaction.

    Raises:
        NotFound: no such region.
        InvalidInput: the request is wrong, or names a category the region does not have.
    """
    request.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        return queue_training(connection, region.key, request)


def queue_training(connection: Connection, region_key: int, request: TrainingRequest) -> Run:
    """A run and its job, in the caller's transaction."""
    run = create_run(connection, "train", region_key, request.to_json())
    job_id = defer_job(connection, TRAIN_TASK, {"run_id": str(run.id)}, lock=f"train:{region_key}")
    set_job(connection, "train", run.id, job_id)
    audit.record_for(connection, "training.requested", region_key, run=str(run.id), **run.request)
    return run


def cancel_training(engine: Engine, region_id: str, run_id: UUID) -> Run:
    """Cancel a run of that region; a running one stops at its next step.

    Raises:
        NotFound: no such region or run.
        Conflict: it is already finished.
    """
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        run = get_run(connection, "train", run_id, region.key)
        cancelled = request_cancel(connection, "train", run)
        audit.record(connection, "training.cancelled", chain=region.id, run=str(run.id))
        return cancelled


def execute_training(
    engine: Engine,
    settings: Settings,
    run: Run,
    progress: Callable[[float, str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Work on a claimed run: load, validate, fit, register, and promote if the gate agrees.

    Everything that users can see appears in one transaction at the end.

    Raises:
        FitCancelled, TooFewIncidents, NotReady, Unavailable, Superseded: see `jobs.run_claimed`.
    """
    request = TrainingRequest.from_json(run.request)
    started = time.perf_counter()
    progress(0.0, "reading incidents")
    data = load_training_data(
        engine, run.region_key, request.categories, request.until, by_policy=True
    )
    if len(data.incidents) == 0:
        raise NotReady("the region has no incidents inside its study area", code="no_incidents")
    context = FitContext(
        cutoff_s=data.cutoff_s,
        seed=request.seed or 0,
        device=choose_device(settings),
        n_threads=choose_threads(settings),
        precision=settings.training_precision,
        cuda_graphs=settings.training_cuda_graphs,
        progress=progress,
        cancelled=cancelled,
    )
    torch.set_num_threads(context.n_threads)
    validation = None
    fit_from = 0.05
    if request.validate:
        validation = validate_model(engine, data, request.model, context.part(0.05, 0.5))
        fit_from = 0.5
    model = create_model(request.model).fit(
        data.incidents, data.grid, context.part(fit_from, 0.92, f"fitting {request.model}: ")
    )
    context.report(0.92, "looking for memorised places")
    memorisation = memorisation_report(data, model, context.seed)
    context.report(0.93, "fitting counts")
    counts = fit_counts(data).state()
    context.report(0.96, "registering")
    told = {**model.report(), **data_facts(data), "memorisation": memorisation}
    fitted = _Fitted(model, counts, told)
    _register(engine, run, request, data, fitted, validation, context, started)


@dataclass(frozen=True)
class _Fitted:
    """A fitted density, the count model's parameters, and what is told of both."""

    model: DensityModel
    counts: dict[str, Any]
    report: dict[str, Any]


def _register(
    engine: Engine,
    run: Run,
    request: TrainingRequest,
    data: TrainingData,
    fitted: _Fitted,
    validation: Validation | None,
    context: FitContext,
    started: float,
) -> None:
    model = fitted.model
    tables = probability_tables(model)
    content, sha256 = pack(
        {
            "model": model.name,
            "data_hash": data.data_hash,
            "cutoff_s": data.cutoff_s,
            "seed": context.seed,
            "request": request.to_json(),
        },
        {
            **{f"probability.{code}": t.astype(np.float32) for code, t in tables.items()},
            **dict(model.tensors()),
        },
    )
    cutoff = datetime.fromtimestamp(data.cutoff_s, UTC)
    with engine.begin() as connection:
        transaction_lock(connection, TRAIN_LOCK, run.region_key)
        store_artifact(connection, content, sha256)
        grid_sha256 = store_grid(connection, data.grid, data.area.to_geojson())
        version = registry.register_version(
            connection,
            registry.NewVersion(
                region_key=run.region_key,
                version=f"{model.name}-{cutoff:%Y%m%dT%H%M%SZ}-{sha256[:10]}",
                model=model.name,
                artifact_sha256=sha256,
                grid_sha256=grid_sha256,
                run_id=run.id,
                data_hash=data.data_hash,
                n_incidents=len(data.incidents),
                cutoff=cutoff,
                seed=context.seed,
                categories=data.categories,
                settings=request.to_json(),
                provenance=provenance(context, started),
                report=fitted.report,
                scores=validation.scores if validation else {},
                counts=fitted.counts,
                gate={},
            ),
            tables,
        )
        mark_if_late(connection, run.region_key, version.version, run.id)
        promoted, reason = _promote_if_due(connection, version, request, validation)
        metrics = {
            "n_incidents": len(data.incidents),
            "seconds": round(time.perf_counter() - started, 1),
            "promoted": promoted,
            "reason": reason,
            "scores": version.scores,
        }
        message = f"{'promoted' if promoted else 'kept as challenger'}: {reason}"
        finish_run(
            connection,
            "train",
            run,
            "succeeded",
            message,
            model_version=version.version,
            metrics=metrics,
        )
        audit.record_for(
            connection,
            "training.finished",
            run.region_key,
            actor=f"run:{run.id}",
            version=version.version,
            promoted=promoted,
            reason=reason,
        )


def _promote_if_due(
    connection: Connection,
    version: registry.VersionRecord,
    request: TrainingRequest,
    validation: Validation | None,
) -> tuple[bool, str]:
    """Whether the version became champion, and why (not)."""
    current = registry.champion(connection, version.region_key)
    if current is None:
        registry.promote(connection, version.region_key, version.version, "first version", 0)
        return True, "first version of this region"
    if current.version == version.version:
        return True, "this version is the champion already"
    champion = registry.get_version(connection, version.region_key, current.version)
    if _replaces_erased(connection, version, champion):
        reason = "the champion had learnt from incidents that are erased"
        registry.promote(connection, version.region_key, version.version, reason, current.revision)
        return True, reason
    if request.categories is not None:
        return False, "trained on some categories only"
    if version.cutoff < champion.cutoff:
        return False, f"its data ends before the champion's ({champion.cutoff:%Y-%m-%d})"
    if validation is None:
        return False, "not validated"
    decision = validation.decision
    if decision.promote:
        registry.promote(
            connection, version.region_key, version.version, decision.reason, current.revision
        )
    return decision.promote, decision.reason


def _replaces_erased(
    connection: Connection, version: registry.VersionRecord, champion: registry.VersionRecord
) -> bool:
    """Whether this is the champion's own training, repeated without what was erased."""
    if champion.version not in marked_versions(connection, version.region_key):
        return False
    same = ("model", "categories", "until")
    return all(version.settings.get(k) == champion.settings.get(k) for k in same)
