"""Requests and replies of `/v1/regions/{region}/backtests`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.evaluation.backtests.request import DEFAULT_MODELS
from app.http.parameters import Moment, ShortText
from app.http.schemas import MessageReply, Reply, Request
from app.runs.schemas import RunReply


class NewBacktest(Request):
    """What to compare; without `origins` the last `n_origins` periods are taken."""

    models: list[ShortText] = Field(
        default=list(DEFAULT_MODELS),
        min_length=1,
        max_length=20,
        examples=[["pooled-kde", "stack"]],
    )
    origins: Annotated[list[Moment] | None, Field(max_length=52)] = None
    n_origins: Annotated[int, Field(ge=1, le=52, examples=[2])] = 4
    horizon_days: Annotated[int, Field(ge=1, le=366)] = 28
    cell_size_m: Annotated[float | None, Field(allow_inf_nan=False)] = None
    seed: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    n_seeds: Annotated[int, Field(ge=1, le=20)] = 1
    refresh: Literal["daily"] | None = Field(
        default=None,
        description="also score each model brought forward every day by what was known at its start",
    )
    delay_days: Annotated[int, Field(ge=0, le=365)] = Field(
        default=0, description="with refresh: incidents are known so late"
    )
    as_known: bool = Field(
        default=False,
        description="know at each moment only what had arrived by then; for keys that may list incidents",
    )


class Backtest(RunReply):
    """A backtest with its result once it is finished."""

    request: dict[str, Any] = Field(
        examples=[{"models": ["pooled-kde", "stack"], "n_origins": 2, "horizon_days": 28}]
    )
    result: dict[str, Any] | None = Field(
        description="scores by model, differences, origins",
        examples=[{"models": {"stack": {"n": 2411, "log_score": -1.873}}, "differences": []}],
    )
    note: MessageReply | None = Field(
        default=None, description="how origins were rounded, in the reply to a request"
    )


class BacktestList(Reply):
    """Backtests, the newest first, without their results."""

    backtests: list[Backtest]
