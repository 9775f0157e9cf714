"""The study's Table 1 and Figure 4 again, on Chicago: what `docs/paper.md` shows. Takes more than an hour.

`HOTSLOT_BENCH_KEEP` names a folder that keeps each fit (a stopped run goes on from there);
`HOTSLOT_BENCH_FIGURE` a .png or .svg file for the figure.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from app.cli.console import results
from app.cli.evaluation.paper import scores
from app.evaluation.paper.figure import FigureRequest, block_losses, block_plot
from app.evaluation.paper.table import PaperRequest, paper_table
from benchmarks.cities import City, load_city, machine

CITY = "chicago"
N_SEEDS = 10
POOLED = ("pooled-kde", "maf-window", "cox", "maf", "stack")
FIGURE_WINDOWS = 2


def table(city: City) -> dict[str, Any]:
    """Print the tables of both sizes and of the pooled models; the result as the service gives it."""
    keep = os.environ.get("HOTSLOT_BENCH_KEEP")
    request = PaperRequest(
        n_seeds=N_SEEDS, pooled_models=POOLED, n_jobs=1, task_folder=Path(keep) if keep else None
    )
    result = paper_table(city.incidents, city.grid, request)
    output = results()
    for part in result["sets"]:
        one, everywhere = part["one_window"], part["all_windows"]
        output.print(scores(f"{part['size']}: one window, {one['n_train']} earlier", one))
        output.print(scores(f"{part['size']}: all windows", everywhere))
    output.print(scores("pooled", result["pooled"]))
    return result


def figure(city: City) -> dict[str, Any]:
    """Print loss by preset, blocks and seed; draw it when `HOTSLOT_BENCH_FIGURE` is set."""
    found = block_losses(city.incidents, city.grid, FigureRequest(n_windows=FIGURE_WINDOWS))
    for preset, by_blocks in found["losses"].items():
        for n_blocks, losses in zip(found["blocks"], by_blocks, strict=True):
            print(f"{preset}, {n_blocks} blocks:", *(f"{loss:.3f}" for loss in losses))
    path = os.environ.get("HOTSLOT_BENCH_FIGURE")
    if path:
        Path(path).write_bytes(block_plot(found, city.grid, Path(path).suffix[1:]))
    return found


def main() -> None:
    """Table, figure and the `RESULT` line: the study's flow against the pooled one on all windows."""
    torch.set_num_threads(1)
    print(machine())
    city = load_city(CITY)
    result, found = table(city), figure(city)
    paper = result["sets"][1]["all_windows"]["models"]["maf-paper"]
    pooled = result["pooled"]["models"]
    gain = sum(found["losses"]["paper"][-1]) - sum(found["losses"]["ours"][-1])
    print(
        "RESULT paper-study",
        f"nf_auc={paper['auc']:.4f}",
        f"pooled_kde_auc={pooled['pooled-kde']['auc']:.4f}",
        f"stack_auc={pooled['stack']['auc']:.4f}",
        f"loss_less_at_25_blocks={gain / len(found['losses']['paper'][-1]):.3f}",
    )
