"""Forecasts as files, pictures and tiles."""
