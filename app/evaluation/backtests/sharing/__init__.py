"""Fits of a backtest that several workers share."""
