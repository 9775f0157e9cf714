"""`python -m benchmarks [PART]`: runs one part, or all; each ends with a line `RESULT part key=value ...`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

PARTS = (
    "flows-speed",
    "flows-stability",
    "flows-quality",
    "flows-scale",
    "flows-dimensions",
    "flows-uncertainty",
    "flows-cuda",
    "forecast-quality",
    "category-quality",
    "patrol-categories",
    "generality",
    "ingest",
    "reads",
    "serve",
    "sizing",
    "page",
    "paper-study",
    "simulated-quarter",
    "refresh",
    "intervals",
    "zones",
    "explain",
    "streets",
    "consistency",
    "worth",
    "small-areas",
    "units",
)


def main(arguments: list[str]) -> int:
    """Run the named parts (all without a name); returns the exit status."""
    chosen = arguments or [part for part in PARTS if _file_of(part).exists()]
    for part in chosen:
        if part not in PARTS or not _file_of(part).exists():
            print(f"no benchmark {part!r}; one of {', '.join(PARTS)}", file=sys.stderr)
            return 2
        print(f"== {part}", flush=True)
        importlib.import_module(f"benchmarks.{part.replace('-', '_')}").main()
    return 0


def _file_of(part: str) -> Path:
    return Path(__file__).with_name(f"{part.replace('-', '_')}.py")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
