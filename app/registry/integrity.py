"""Check that the stored parts of a model version are those that were registered.

Artifacts and grids are named by their hashes; each row of probabilities has a digest that binds its bytes
to its region, version, category and window, so that a truncated, altered, moved or renamed row is
refused.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, text

from app.registry.artifacts import ArtifactCorrupt, load_artifact
from app.registry.seal import forecasts_sha256

_UNSOUND_ROWS = text(
    """
    SELECT category_code, "window" FROM forecast_grids
    WHERE region_key = :region AND version = :version AND (
        digest <> sha256(convert_to(
            concat_ws(':', region_key, version, category_code, "window", ''), 'UTF8') || cell_values)
        OR length(cell_values) <> 4 * :n_cells)
    LIMIT 1
    """
)
_DIGESTS = text(
    """
    SELECT category_code, "window", digest FROM forecast_grids
    WHERE region_key = :region AND version = :version
    """
)


def row_digest(
    region_key: int, version: str, category_code: int, window: int, cell_values: bytes
) -> bytes:
    """Return the digest stored beside a row of `forecast_grids`."""
    place = f"{region_key}:{version}:{category_code}:{window}:".encode()
    return hashlib.sha256(place + cell_values).digest()


def check_rows(
    connection: Connection, region_key: int, version: str, n_cells: int, forecasts: str
) -> None:
    """Raise unless all forecast rows of a version are intact; the database hashes their values.

    Args:
        forecasts: the digest in the version's record; see `forecasts_sha256`.

    Raises:
        ArtifactCorrupt: a row is missing, or is not what was registered.
    """
    of = {"region": region_key, "version": version}
    rows = [(int(code), int(w), bytes(d)) for code, w, d in connection.execute(_DIGESTS, of)]
    if forecasts_sha256(rows) != forecasts:
        raise ArtifactCorrupt(f"version {version}: its forecasts are not what was registered")
    broken = connection.execute(_UNSOUND_ROWS, {**of, "n_cells": n_cells}).one_or_none()
    if broken is not None:
        raise ArtifactCorrupt(
            f"version {version}: the forecast of window {broken.window} is not what was registered"
        )


def check_artifact(connection: Connection, sha256: str) -> None:
    """Raise unless an artifact is intact.

    Raises:
        ArtifactCorrupt: it is missing or damaged.
    """
    load_artifact(connection, sha256)
