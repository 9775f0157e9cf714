"""Training: from a region's incidents to a registered version, and possibly the champion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from app.core.bounds import MAX_CATEGORIES_NAMED, check_length, check_text
from app.core.errors import InvalidInput, NotReady
from app.core.messages import Message
from app.core.retry import retry_outages
from app.core.settings import Settings
from app.core.texts import shortened
from app.core.zones import check_moment
from app.fitting.data import TrainingData, load_training_data
from app.fitting.device import choose_device, choose_threads, use_threads
from app.fitting.hourly_counts import fit_counts
from app.fitting.sample_privacy import memorisation_report
from app.incidents.releases import NO_RELEASE, released_until
from app.regions.store import Region, get_region
from app.releases.small_counts import OTHER
from app.runs.store import Run, check_room, request_run
from app.runs.words import RUN_MESSAGES, RunProgress
from app.training.registration import Fitted, register
from app.training.report import data_facts
from app.training.validation import validate_model
from models.base import FitCancelled, FitContext
from models.catalog import MODEL_NAMES, create_model
from models.densities.small_counts import pool_small_counts


@dataclass(frozen=True)
class TrainingRequest:
    """What to train: `until` limits the incidents to earlier ones; `validate` scores it first."""

    model: str = "stack"
    categories: list[str] | None = None
    until: datetime | None = None
    seed: int | None = None
    validate: bool = True
    release: int | None = None
    """The release to train on, for callers who may not list incidents and schedules; None: all."""

    def checked(self) -> TrainingRequest:
        """Validate the request and return it.

        Raises:
            InvalidInput: unknown model, naive time, empty categories, or seed out of range.
        """
        if self.model not in MODEL_NAMES:
            raise InvalidInput(
                f"unknown model {shortened(self.model)}; choose from {', '.join(MODEL_NAMES)}",
                field="model",
            )
        if self.until is not None:
            check_moment(self.until, "until")
        if self.categories is not None and not self.categories:
            raise InvalidInput(
                "categories must be null or contain at least one name", field="categories"
            )
        check_length(self.categories, "categories", MAX_CATEGORIES_NAMED)
        for name in self.categories or ():
            check_text(name, "categories")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise InvalidInput(f"seed must lie within 0..2^63-1, got {self.seed}", field="seed")
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the request as stored in the run's row."""
        given = {**asdict(self), "until": self.until.isoformat() if self.until else None}
        if self.release is None:
            del given["release"]
        return given

    def audited(self) -> dict[str, Any]:
        """Return the details for the audit log, without category names and times."""
        n_categories = None if self.categories is None else len(self.categories)
        return {**asdict(self), "categories": n_categories, "until": self.until is not None}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrainingRequest:
        """Create a request from the output of `to_json`."""
        until = value.get("until")
        return cls(**{**value, "until": datetime.fromisoformat(until) if until else None})


def request_training(
    engine: Engine,
    settings: Settings,
    region_id: str,
    request: TrainingRequest,
    *,
    exact: bool = True,
) -> Run:
    """Queue a training run: its row and its job in one transaction.

    Args:
        exact: the caller may list incidents; others train on released incidents.

    Raises:
        NotFound: the region does not exist.
        InvalidInput: the request is invalid, or names an unknown category.
        QueueFull: too many trainings of the region are queued or running.
    """
    request.checked()
    with engine.begin() as connection:
        region = get_region(connection, region_id)
        check_room(connection, "train", region.key, settings.max_unfinished_runs)
        if not exact:
            request = of_release(connection, region, request)
        return request_run(connection, "train", region.key, request)


def of_release(connection: Connection, region: Region, request: TrainingRequest) -> TrainingRequest:
    """Limit a request to the last release up to its `until`, if any, which becomes the release's instant.

    If too few incidents are released, the run fails with that message.

    Raises:
        InvalidInput: a category has too few incidents.
    """
    found = released_until(connection, region, request.until, request.categories)
    if found is None:
        return replace(request, release=NO_RELEASE)
    until = None if request.until is None else found.until
    return replace(request, until=until, release=found.seq)


def execute_training(
    engine: Engine,
    settings: Settings,
    run: Run,
    progress: RunProgress,
    cancelled: Callable[[], bool],
) -> None:
    """Execute a claimed run: load, validate, fit, register, and promote if the policy agrees.

    All visible results are written in one transaction at the end.

    Raises:
        FitCancelled, TooFewIncidents, NotReady, Unavailable, Superseded: see `jobs.run_claimed`.
    """
    request = TrainingRequest.from_json(run.request)
    clock = StepClock()
    progress(0.0, RUN_MESSAGES.make("reading_incidents"))
    data = retry_outages(
        lambda: load_training_data(
            engine,
            run.region_key,
            request.categories,
            request.until,
            by_policy=True,
            release=request.release,
        )
    )
    if len(data.incidents) == 0:
        raise NotReady(_why_none_are_left(data), code="no_incidents")
    context = fit_context(settings, data.cutoff_s, request.seed or 0, progress, cancelled)
    clock.done("read")
    fitted = _fit(engine, request, data, context, Steps(context, progress), clock)
    if cancelled():
        # Cancelled during the last steps: do not promote the version.
        raise FitCancelled("cancelled before registration")
    retry_outages(lambda: register(engine, run, fitted))


def _why_none_are_left(data: TrainingData) -> str:
    n_default = sum(pile.n_incidents for pile in data.piles)
    if n_default:
        return (
            f"all {n_default:,} incidents inside the study area lie at default geocodes: "
            "look at `places` of the data report"
        )
    return "no incident lies inside the study area, or none is over at the end of the data"


def fit_context(
    settings: Settings,
    cutoff_s: int,
    seed: int,
    progress: RunProgress,
    cancelled: Callable[[], bool],
) -> FitContext:
    """Create the context of fits in this process and set its number of threads."""
    context = FitContext(
        cutoff_s=cutoff_s,
        seed=seed,
        device=choose_device(settings),
        n_threads=choose_threads(settings),
        precision=settings.training_precision,
        cuda_graphs=settings.training_cuda_graphs,
        progress=progress,
        cancelled=cancelled,
        memo={},
    )
    use_threads(context.n_threads)
    return context


def _fit(
    engine: Engine,
    request: TrainingRequest,
    data: TrainingData,
    context: FitContext,
    steps: Steps,
    clock: StepClock,
) -> Fitted:
    """Validate, fit to everything, test for memorisation, fit the counts."""
    validation = None
    fit_from = 0.05
    if request.validate:
        steps.begin(0.05, RUN_MESSAGES.make("validating_model", model=request.model))
        validation = validate_model(engine, data, request.model, context.part(0.05, 0.5))
        fit_from = 0.5
    clock.done("validate")
    data = data.shared_out()
    steps.begin(fit_from, RUN_MESSAGES.make("fitting_model", model=request.model))
    model = create_model(request.model).fit(
        data.incidents, data.grid, context.part(fit_from, 0.92, f"fitting {request.model}: ")
    )
    if data.categories and data.categories[-1] == OTHER:
        # The rest of a release besides its visible categories may be a single incident.
        model.category_density_.pop(len(data.categories) - 1, None)
    pooled = pool_small_counts(model, data.rows, data.incidents.category, data.policy.minimum_count)
    clock.done("fit")
    steps.begin(0.92, RUN_MESSAGES.make("testing_memorisation"))
    memorisation = memorisation_report(data, model, context.seed)
    steps.begin(0.93, RUN_MESSAGES.make("fitting_counts"))
    counts = fit_counts(data).state()
    clock.done("counts")
    steps.begin(0.96, RUN_MESSAGES.make("registering_version"))
    report = {**model.report(), **data_facts(data), "memorisation": memorisation}
    if pooled is not None:
        report["small_counts"] = pooled
    return Fitted(
        request.to_json(), data, model, counts, report, validation, context, clock.steps_s
    )


@dataclass(frozen=True)
class Steps:
    """The steps of a training; what models report within one are details of it."""

    context: FitContext
    progress: RunProgress

    def begin(self, share: float, said: Message) -> None:
        """Begin a step.

        Raises:
            FitCancelled: the caller asked the training to stop.
        """
        if self.context.cancelled():
            raise FitCancelled(said.message)
        self.progress(share, said)


class StepClock:
    """Durations of steps."""

    def __init__(self) -> None:
        self.steps_s: dict[str, float] = {}
        self._since = time.perf_counter()

    def done(self, step: str) -> None:
        """Record the duration of the step that began when the previous one was done."""
        now = time.perf_counter()
        self.steps_s[step] = now - self._since
        self._since = now
