"""Benchmarks of forecasts: scores, rivals, tests and plans on real cities."""
