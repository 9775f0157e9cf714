"""A module of over 20 lines has a test that imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from app.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
MIN_LINES = 20


def imported_by(path: Path) -> Iterator[str]:
    """Names that a test file imports: modules, and what is taken out of them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def untested() -> list[str]:
    """Return the modules without a test.

    Routes and commands are exempt: `test_route_permissions.py` and `test_lazy.py` take each of them.
    """
    known = {name for path in (ROOT / "tests").rglob("*.py") for name in imported_by(path)}
    known |= {target.partition(":")[0] for target, _ in COMMANDS.values()}
    found = []
    for path in sorted(p for package in ("app", "models") for p in (ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        long = len(path.read_text().splitlines()) > MIN_LINES
        if long and name not in known and not path.stem.endswith("routes"):
            found.append(name)
    return found


def test_no_module_is_added_without_a_test():
    found = untested()
    assert found == [], (
        f"{len(found)} modules of over {MIN_LINES} lines are imported by no test; write one for each:\n"
        + "\n".join(found)
    )
