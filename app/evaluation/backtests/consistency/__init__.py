"""Tests of the joint forecasts of a backtest: number, places, hours with places."""
