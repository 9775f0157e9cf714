"""Names of versions, and the grid and artifact that a name binds.

A name ends with digits of its grid's and its artifact's hash and so names both permanently. As each stored
forecast's digest binds the name, no forecast can be read on another grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.registry.artifacts import ArtifactCorrupt

GRID_DIGITS = 8
ARTIFACT_DIGITS = 10
NAMED_BY = "named_by"
"""Member of a version's `gate` with the digits in its name, if its artifact was rewritten since."""


def version_name(model: str, cutoff: datetime, artifact_sha256: str, grid_sha256: str) -> str:
    """Return the name of a new version."""
    bound = grid_sha256[:GRID_DIGITS] + artifact_sha256[:ARTIFACT_DIGITS]
    return f"{model}-{cutoff:%Y%m%dT%H%M%SZ}-{bound}"


def check_artifact_name(version: str, artifact_sha256: str, gate: Mapping[str, Any]) -> None:
    """Require that the artifact is the one that the name binds, or was once (see `NAMED_BY`).

    Raises:
        ArtifactCorrupt: it is another.
    """
    digits = str(gate.get(NAMED_BY, artifact_sha256[:ARTIFACT_DIGITS]))
    if len(digits) != ARTIFACT_DIGITS or not version.endswith(digits):
        raise ArtifactCorrupt(f"version {version} names another artifact than its own")


def check_grid_name(version: str, grid_sha256: str) -> None:
    """Raise unless the grid is the one that the name binds; older names bind the artifact alone.

    Raises:
        ArtifactCorrupt: it is another, even one with as many cells.
    """
    bound = version.rpartition("-")[2]
    binds_grid = len(bound) == GRID_DIGITS + ARTIFACT_DIGITS
    if binds_grid and not bound.startswith(grid_sha256[:GRID_DIGITS]):
        raise ArtifactCorrupt(f"version {version} names another grid than its own")
