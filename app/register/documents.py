"""The register as CSV and NDJSON, and one entry in full."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from app.register.parts import PART_HOURS, SHARES, FiledCounts, FiledForecast
from models.evaluation.metrics import n_top

PLAIN = (
    "id", "day", "from", "to", "filed_at", "model", "model_version", "state", "data_until",
    "expected", "expected_lo", "expected_hi", "n_cells", "sha256",
)  # fmt: skip
SCORED = ("look_days", "scored_at", "n", "covered", "hours", "hours_covered")
LISTS = ("champion", "prior_counts")
HEADER = (
    *PLAIN, *SCORED, *(f"{name}_hits_{percent}" for percent in SHARES for name in LISTS),
    *(f"{name}_log_density" for name in LISTS),
)  # fmt: skip
Parts = Mapping[str, bytes | None]


def register_csv(entries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a line for every score of every entry, and one for entries without scores."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for entry in entries:
        plain = [_at(entry, name) for name in PLAIN]
        for score in entry["scores"] or [None]:
            writer.writerow([*plain, *_score_fields(score)])
    return text.getvalue().encode()


def _at(entry: Mapping[str, Any], name: str) -> Any:
    return entry[{"from": "start", "to": "end"}.get(name, name)]


def _score_fields(score: Mapping[str, Any] | None) -> list[Any]:
    if score is None:
        return [""] * (len(HEADER) - len(PLAIN))
    hits = [score["hits"][str(percent)][name] for percent in SHARES for name in LISTS]
    return [*(score[name] for name in SCORED), *hits, *score["log_density"].values()]


def register_ndjson(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Return one entry a line."""
    return b"".join(orjson.dumps(as_sent(one)) + b"\n" for one in entries)


def as_sent(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry with the names of members that replies have."""
    names = {"start": "from", "end": "to"}
    return {names.get(name, name): value for name, value in entry.items()}


def entry_in_full(entry: Mapping[str, Any], parts: Parts) -> dict[str, Any]:
    """Return an entry with what was filed, readable and as the bytes that the digests cover."""
    forecast, rival = parts["forecast"], parts["rival"]
    filed = None if forecast is None else FiledForecast.unpack(forecast)
    hours = lists = past = None
    if filed is not None:
        hours = {
            "mean": filed.hour_mean.round(6).tolist(),
            "lo": filed.hour_lo.astype(int).tolist(),
            "hi": filed.hour_hi.astype(int).tolist(),
        }
        lists = [
            {"hours": f"{PART_HOURS * i:02d}-{PART_HOURS * (i + 1):02d}", "cells": cells.tolist()}
            for i, cells in enumerate(filed.cell_id[filed.lists])
        ]
    if filed is not None and rival is not None:
        past = filed.cell_id[FiledCounts.unpack(rival).ranked(filed.area_km2)].tolist()
    return {
        **entry,
        "list_lengths": {str(percent): n_top(entry["n_cells"], percent) for percent in SHARES},
        "hours": hours,
        "lists": lists,
        "prior_counts_list": past,
        "forecast": None if forecast is None else b64encode(forecast).decode(),
        "rival": None if rival is None else b64encode(rival).decode(),
    }
