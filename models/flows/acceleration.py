"""What CUDA offers beyond plain kernels: coarser products, and steps recorded as graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from models.base import Precision

_WARM_UP_CALLS = 3
"""Before a recording: allocations and library handles must exist by then."""


def training_dtype(precision: Precision) -> torch.dtype:
    """Of weights and points in training.

    Training amplifies the last bits, in which processors differ: 32 bits end 3e-3 nats apart (M4),
    and so do 64 unless the weights are rounded (`training.Run`).
    """
    return torch.float64 if precision == "float64" else torch.float32


@contextmanager
def product_precision(precision: Precision) -> Iterator[None]:
    """Matrix products of 32-bit floats with TF32's 10 bits of mantissa inside, when asked for."""
    before = torch.get_float32_matmul_precision()
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def half_precision(device_type: str, precision: Precision) -> torch.autocast:
    """A block in which networks' products are bfloat16, when asked for.

    What the networks give is 32-bit again: knots and log-determinants are never rounded so.
    """
    return torch.autocast(device_type, torch.bfloat16, enabled=precision == "bf16")


class Recorded:
    """Work on fixed tensors, recorded once as a CUDA graph and replayed from then on.

    The first calls run it as it is, on a stream of their own, as torch asks for ("CUDA semantics,
    Whole-network capture"). On other devices it always runs as it is.
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
