"""hotslot: forecasts of where crime concentrates in which hour of the week."""

__version__ = "0.2.0"
