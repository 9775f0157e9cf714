"""The reply of `explain`: why a place's forecast is what it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from app.audit import store as audit
from app.core.bounds import check_number
from app.core.errors import InvalidInput, NotFound
from app.core.texts import shortened
from app.forecasts.explain.parts import Parts, parts_of
from app.forecasts.explain.past import counts_of, hidden, kinds_of, past_of
from app.forecasts.explain.words import EXPLANATIONS, reasons, sentence
from app.forecasts.forecast import Forecast
from app.forecasts.plan import Selector
from app.forecasts.service import ForecastService
from app.forecasts.versions.loaded import LoadedVersion
from models.densities.ingredients import DRIFT

MAX_CELLS = 200
END_OF_IDS = 2**53
"""Ids of cells lie below this."""
SPLIT_MODELS = frozenset({"stack", "maf", "cox"})
"""Models whose versions say what their long run is made of."""


@dataclass(frozen=True)
class Asked:
    """Which forecast of which cells to explain, and whether the caller may list incidents."""

    selector: Selector
    cells: tuple[int, ...]
    exact: bool


def asked_cells(cell: int | None, cells: str | None) -> tuple[int, ...]:
    """Return the cells of a request, in ascending order.

    Raises:
        InvalidInput: not exactly one of `cell` and `cells` is given, or `cells` is no list of numbers.
        LimitExceeded: too many.
    """
    if (cell is None) == (cells is None):
        raise InvalidInput("give exactly one of cell and cells", field="cell")
    if cell is not None:
        return (cell,)
    try:
        found = sorted({int(one) for one in (cells or "").split(",")})
    except ValueError as error:
        raise InvalidInput("cells is a list of ids, such as 31,32,203", field="cells") from error
    if found[0] < 0 or found[-1] >= END_OF_IDS:
        wrong = found[0] if found[0] < 0 else found[-1]
        raise InvalidInput(
            f"cells lists {shortened(str(wrong))}; an id lies within 0 and {END_OF_IDS - 1}",
            field="cells",
        )
    check_number(len(found), MAX_CELLS, f"{len(found)} cells are asked for", "cells")
    return tuple(found)


def explanation(service: ForecastService, region_id: str, asked: Asked) -> dict[str, Any]:
    """Explain the forecast of some cells together; reads of incidents are audited.

    Raises:
        NotFound: the region, model, version or a cell does not exist.
        NotReady: the region has no version yet.
        InvalidInput: the selector is invalid.
    """
    forecast = service.forecast(region_id, asked.selector)
    rows = _rows_of(forecast.version, asked.cells)
    parts = parts_of(service, forecast, rows)
    why = reasons(parts.log_ratio)
    past = past_of(service, forecast, exact=asked.exact)
    incidents = None
    if asked.exact and past is not None:
        incidents = counts_of(past, forecast.version, rows)
        _record(service.engine, region_id, incidents, len(rows))
    words = sentence(why)
    if incidents is not None:
        words = f"{words} {incidents['message']['message'].capitalize()}."
    return {
        **forecast.heading(),
        **_expected(forecast, rows, parts),
        "cells": list(asked.cells),
        "area_km2": float(forecast.cells.area_km2[rows].sum()),
        "parts": [
            {"part": name, "log_ratio": value, "times": exp(value)}
            for name, value in parts.log_ratio.items()
        ],
        "unsplit": _unsplit(forecast, parts),
        "reasons": [message.to_json() for message in why],
        "sentence": words,
        "incidents": incidents,
        **_kinds(forecast, past, rows, asked),
    }


def _rows_of(version: LoadedVersion, cells: tuple[int, ...]) -> NDArray[np.int64]:
    ids = version.grid.cell_id
    wanted = np.array(cells, np.int64)
    rows = np.searchsorted(ids, wanted).clip(max=len(ids) - 1)
    missing = wanted[ids[rows] != wanted]
    if len(missing):
        raise NotFound(
            f"the study area has no cell {missing[0]}; a density lists them", field="cell"
        )
    return rows


def _expected(forecast: Forecast, rows: NDArray[np.int64], parts: Parts) -> dict[str, Any]:
    count = float(forecast.expected_count[rows].sum())
    low, high = forecast.interval_of(np.array([count]))
    return {
        "expected_count": count,
        "expected_count_lo": float(low[0]),
        "expected_count_hi": float(high[0]),
        "average_count": parts.average_count,
        "log_ratio": parts.total,
        "times": exp(parts.total),
    }


def _unsplit(forecast: Forecast, parts: Parts) -> dict[str, Any] | None:
    """Return why the long run is not split into drift, recent weeks and near repeats."""
    model = forecast.version.record.model
    if DRIFT in parts.log_ratio:
        return None
    if model in SPLIT_MODELS and not parts.split:
        return EXPLANATIONS.make("why_unsplit_older").to_json()
    return EXPLANATIONS.make("why_unsplit", model=model).to_json()


def _kinds(forecast: Forecast, past: Any, rows: NDArray[np.int64], asked: Asked) -> dict[str, Any]:
    """Return the kind of the place, and of its cells where there are several.

    Readers get those of single cells only: sums over cells of their choice would reveal counts.
    """
    version = forecast.version
    several = len(rows) > 1
    if not asked.exact and asked.selector.categories:
        return {"kind": hidden(EXPLANATIONS.make("why_kind_of_categories")), "kinds": None}
    if past is None:
        return {"kind": hidden(EXPLANATIONS.make("why_kind_hidden")), "kinds": None}
    whole = hidden(EXPLANATIONS.make("why_kind_hidden"))
    if asked.exact or not several:
        (whole,) = kinds_of(past, version, [rows], exact=asked.exact)
    if not several:
        return {"kind": whole, "kinds": None}
    each = kinds_of(past, version, [rows[i : i + 1] for i in range(len(rows))], exact=asked.exact)
    return {
        "kind": whole,
        "kinds": [{"cell": cell, **one} for cell, one in zip(asked.cells, each, strict=True)],
    }


def _record(engine: Engine, region_id: str, incidents: dict[str, Any], n_cells: int) -> None:
    """Record that incidents of a place were counted for the caller; which place is not recorded."""
    with engine.begin() as connection:
        audit.record(
            connection,
            "place.counted",
            chain=region_id,
            incidents=incidents["n"],
            cells=n_cells,
        )
