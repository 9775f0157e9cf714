"""Acceleration on CUDA: products of lower precision, and steps recorded as graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from models.base import Precision

_WARM_UP_CALLS = 3
"""Calls before a recording, in which allocations and library handles are created."""


def training_dtype(precision: Precision) -> torch.dtype:
    """Return the type of weights and points in training.

    Training amplifies differences of processors in the last bits: 32-bit fits end 3e-3 nats apart, and
    so do 64-bit fits unless the weights are rounded (`training.Run`).
    """
    return torch.float64 if precision == "float64" else torch.float32


@contextmanager
def product_precision(precision: Precision) -> Iterator[None]:
    """Use TF32 (10 bits of mantissa) in 32-bit matrix products inside the block, if requested."""
    before = torch.get_float32_matmul_precision()
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def half_precision(device_type: str, precision: Precision) -> torch.autocast:
    """Return a block in which the products of networks are bfloat16, if requested.

    Outputs of networks are 32-bit, so that knots and log-determinants are not rounded.
    """
    return torch.autocast(device_type, torch.bfloat16, enabled=precision == "bf16")


class Recorded:
    """Work on fixed tensors that is recorded as a CUDA graph and then replayed.

    The first calls run directly on a stream of their own, as torch requires ("CUDA semantics,
    Whole-network capture"). On other devices all calls run directly.
    """

    def __init__(self, work: Callable[[], None], device: torch.device, *, wanted: bool) -> None:
        self.work = work
        self.wanted = wanted and device.type == "cuda"
        self.n_calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do the work once."""
        if not self.wanted:
            self.work()
            return
        self.n_calls += 1
        if self.graph is not None:
            self.graph.replay()
        elif self.n_calls <= _WARM_UP_CALLS:
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.work()
            torch.cuda.current_stream().wait_stream(stream)
        else:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.work()
            self.graph.replay()
