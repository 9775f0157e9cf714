"""`python -m benchmarks [PART]`: runs one part, or all; each ends with a line `RESULT part key=value ...`."""

from __future__ import annotations

import importlib
import sys

PARTS = {
    "flows-speed": "flows.speed",
    "flows-stability": "flows.stability",
    "flows-quality": "flows.quality",
    "flows-scale": "flows.scale",
    "cells": "flows.cells",
    "flows-dimensions": "flows.dimensions",
    "flows-uncertainty": "flows.uncertainty",
    "flows-cuda": "flows.cuda",
    "forecast-quality": "quality.forecast_quality",
    "category-quality": "quality.category_quality",
    "patrol-categories": "quality.patrol_categories",
    "generality": "quality.generality",
    "ingest": "service.ingest",
    "reads": "service.reads",
    "partitions": "service.partitions",
    "backup": "service.backup",
    "serve": "service.serve",
    "sizing": "service.sizing",
    "country": "service.country",
    "readers": "service.readers",
    "page": "service.page",
    "paper-study": "studies.paper_study",
    "simulated-quarter": "studies.simulated_quarter",
    "refresh": "quality.refresh",
    "intervals": "quality.intervals",
    "zones": "quality.zones",
    "explain": "quality.explain",
    "streets": "quality.streets",
    "consistency": "quality.consistency",
    "worth": "quality.worth",
    "small-areas": "quality.small_areas",
    "units": "quality.units",
}
"""{name: its module}, in the order of a run of all."""


def main(arguments: list[str]) -> int:
    """Run the named parts (all without a name); returns the exit status."""
    for part in arguments or PARTS:
        if part not in PARTS:
            print(f"no benchmark {part!r}; one of {', '.join(PARTS)}", file=sys.stderr)
            return 2
        print(f"== {part}", flush=True)
        importlib.import_module(f"benchmarks.{PARTS[part]}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
