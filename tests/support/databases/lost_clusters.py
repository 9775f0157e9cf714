"""Clusters of embedded servers that tests leave behind: half a gigabyte each, outside their homes."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.core.devserver.cluster import HOME_FILE, ROOT_CLUSTERS


def remove_lost_clusters(within: Path | None = None) -> None:
    """Remove clusters whose home is gone, and those of homes in the folder `within`, unless they run."""
    for marker in ROOT_CLUSTERS.glob(f"*/{HOME_FILE}"):
        home = Path(marker.read_text())
        is_ours = within is not None and home.is_relative_to(within)
        if home.exists() and not is_ours:
            continue
        if not (marker.parent / "postgres" / "data" / "postmaster.pid").exists():
            shutil.rmtree(marker.parent, ignore_errors=True)
