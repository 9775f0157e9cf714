"""Preset sources of known cities, described in `presets.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from app.sync.spec import SourceSpec


@dataclass(frozen=True)
class Preset:
    """A city's source.

    Args:
        timezone: of the region that it belongs to (IANA).
        note: advice before using it.
    """

    title: str
    timezone: str
    spec: SourceSpec
    note: str = ""

    @property
    def licence(self) -> str:
        """The line to show beside the data, as the publisher names it."""
        return self.spec.licence or ""


def _load() -> dict[str, Preset]:
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        tables = tomllib.load(file)
    return {
        name: Preset(
            t.pop("title"), t.pop("timezone"), note=t.pop("note", ""), spec=SourceSpec(**t)
        )
        for name, t in tables.items()
    }


PRESETS = _load()
