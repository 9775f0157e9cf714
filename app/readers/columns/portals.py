"""Columns of well-known police data portals, recognised by a unique combination of names (`portals.toml`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Portal:
    """A portal's export.

    Args:
        signature: normalised column names that together mean this portal.
        columns: {field or part: normalised column name}.
        time_format: of its times where they are not ISO 8601.
        crs: of `x`, `y`.
    """

    name: str
    signature: Sequence[str]
    columns: Mapping[str, str]
    time_format: str | None = None
    crs: str | None = None


def normalised_name(name: object) -> str:
    """Lower-case a name, with blanks, dots and hyphens as underscores and no byte-order mark."""
    return re.sub(r"[\s.\-]+", "_", str(name).strip().strip("\ufeff").lower())


def _load() -> tuple[Portal, ...]:
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        return tuple(Portal(**portal) for portal in tomllib.load(file)["portal"])


PORTALS = _load()
