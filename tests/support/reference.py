"""What `.ci/reference.py` says of the API and the command line, read once for all modules."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).resolve().parents[2] / ".ci" / "reference.py"
_spec = importlib.util.spec_from_file_location("reference", _FILE)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document; building it takes two seconds."""
    return reference.openapi_document()


@cache
def all_commands() -> dict[str, Any]:
    """Return the commands by their names, `region create` for one of a group."""
    return dict(reference.all_commands())
