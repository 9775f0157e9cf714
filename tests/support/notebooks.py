"""Run the code of a notebook, cell by cell, in this process: `python -m tests.support.notebooks FILE`."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any


def run(path: Path) -> None:
    """Run all code cells in one namespace; print what the last line of each shows."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]), f"{path.name}, cell {number}")
            shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, f"{path.name}, cell {number}", "exec"), namespace)
            if shown is not None:
                expression = ast.Expression(shown.value)
                value = eval(compile(expression, f"{path.name}, cell {number}", "eval"), namespace)
                print("" if value is None else value)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
