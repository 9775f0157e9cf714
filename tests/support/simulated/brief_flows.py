"""Flows per window that are trained for a fraction of the usual steps."""

from __future__ import annotations

from dataclasses import replace

from models.densities.maf_window import MafPaper, MafWindow
from models.units import N_WINDOWS

WINDOWS = (3, 5, 100)


class BriefMafWindow(MafWindow):
    """`maf-window` of three hours, from a city-wide flow that is trained a fifth as long."""

    def _settings(self):
        usual = super()._settings()
        return replace(usual, windows=WINDOWS, pooled=replace(usual.pooled, n_steps=100))


class BriefMafPaper(MafPaper):
    """`maf-paper` of three hours, trained a third as long."""

    def _settings(self):
        usual = super()._settings()
        training = replace(usual.training, n_steps=100, check_every=20)
        return replace(usual, windows=WINDOWS, training=training)


class _AllHours:
    """Every hour, and ten steps for each."""

    def _settings(self):
        usual = super()._settings()
        training = replace(usual.training, n_steps=10, check_every=5)
        return replace(usual, windows=tuple(range(N_WINDOWS)), training=training)


class AllHoursMafWindow(_AllHours, BriefMafWindow):
    """`maf-window` of all hours."""


class AllHoursMafPaper(_AllHours, BriefMafPaper):
    """`maf-paper` of all hours."""
