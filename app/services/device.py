"""Which device and how many threads a fit uses."""

from __future__ import annotations

import os

import torch

from app.config import Settings
from app.domain.errors import InvalidInput


def choose_device(settings: Settings) -> str:
    """`cuda` when asked for or found, otherwise `cpu`.

    Raises:
        InvalidInput: CUDA is asked for and there is none.
    """
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("HOTSLOT_DEVICE=cuda, but torch finds no CUDA device", field="device")
    return settings.device


def choose_threads(settings: Settings) -> int:
    """CPU threads of one fit: as set, or half of the cores."""
    return settings.training_threads or max(1, (os.cpu_count() or 1) // 2)
