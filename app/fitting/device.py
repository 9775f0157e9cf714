"""Device and number of threads of a fit.

torch takes 170 MB and seconds to load, so only processes that fit import it.
"""

from __future__ import annotations

import os
import platform

from app.core.errors import InvalidInput
from app.core.settings import Settings


def choose_device(settings: Settings) -> str:
    """Return `cuda` if requested or available, otherwise `cpu`.

    Raises:
        InvalidInput: CUDA is requested but not available.
    """
    import torch

    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput(
            "HOTSLOT_DEVICE=cuda, but torch finds no CUDA device; set it to auto or cpu",
            field="device",
        )
    return settings.device


def choose_threads(settings: Settings) -> int:
    """Return the number of CPU threads of a fit: as configured, or half of the cores."""
    return settings.training_threads or max(1, (os.cpu_count() or 1) // 2)


def device_name(device: str) -> str:
    """Return the name of the device."""
    if device != "cuda":
        return platform.processor()
    import torch

    return torch.cuda.get_device_name()


def use_threads(n_threads: int) -> None:
    """Set the number of threads that torch uses in this process."""
    import torch

    torch.set_num_threads(n_threads)


def thread_count() -> int:
    """Return the number of threads that torch uses in this process."""
    import torch

    return torch.get_num_threads()
