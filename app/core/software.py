"""Versions of the software that made something, for its provenance."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from app import __version__


def software(*libraries: str) -> dict[str, Any]:
    """Return the versions of Python, hotslot and these libraries."""
    return {
        "python": platform.python_version(),
        "libraries": {"hotslot": __version__, **{name: version(name) for name in libraries}},
    }
