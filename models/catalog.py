"""Every density model by the name it is served under."""

from __future__ import annotations

import importlib
from typing import Any

from models.base import DensityModel

_CLASSES = {
    "uniform": ("models.uniform", "Uniform"),
    "window-kde": ("models.kde", "WindowKde"),
    "pooled-kde": ("models.kde", "PooledKde"),
    "multi-kde": ("models.kde", "MultiKde"),
    "recent-kde": ("models.recent", "RecentKde"),
    "history": ("models.history", "History"),
    "sepp": ("models.sepp", "Sepp"),
    "gmm": ("models.gmm", "Gmm"),
    "maf": ("models.maf", "Maf"),
    "maf-window": ("models.maf", "MafWindow"),
    "maf-paper": ("models.maf", "MafPaper"),
    "stack": ("models.stack", "Stack"),
}
MODEL_NAMES: tuple[str, ...] = tuple(_CLASSES)


def create_model(name: str, **settings: Any) -> DensityModel:
    """An unfitted model; torch is imported only for models that need it.

    >>> create_model("pooled-kde", bandwidth_m=80.0).bandwidth_m
    80.0

    Raises:
        ValueError: there is no model of that name.
    """
    if name not in _CLASSES:
        raise ValueError(f"unknown model {name!r}; one of {', '.join(MODEL_NAMES)}")
    module, class_name = _CLASSES[name]
    model: DensityModel = getattr(importlib.import_module(module), class_name)(**settings)
    return model
