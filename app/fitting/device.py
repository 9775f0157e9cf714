"""Which device and how many threads a fit uses.

torch weighs 170 MB and seconds: only processes that fit load it, not those that queue or serve.
"""

from __future__ import annotations

import os
import platform

from app.core.errors import InvalidInput
from app.core.settings import Settings


def choose_device(settings: Settings) -> str:
    """`cuda` when asked for or found, otherwise `cpu`.

    Raises:
        InvalidInput: CUDA is asked for and there is none.
    """
    import torch

    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("HOTSLOT_DEVICE=cuda, but torch finds no CUDA device", field="device")
    return settings.device


def choose_threads(settings: Settings) -> int:
    """CPU threads of one fit: as set, or half of the cores."""
    return settings.training_threads or max(1, (os.cpu_count() or 1) // 2)


def device_name(device: str) -> str:
    """What the device calls itself."""
    if device != "cuda":
        return platform.processor()
    import torch

    return torch.cuda.get_device_name()


def use_threads(n_threads: int) -> None:
    """Have torch use so many threads in this process."""
    import torch

    torch.set_num_threads(n_threads)


def thread_count() -> int:
    """How many threads torch uses in this process."""
    import torch

    return torch.get_num_threads()
