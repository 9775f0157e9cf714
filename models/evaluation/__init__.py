"""Evaluation of forecasts: scores, calibration, significance, drift, fairness."""
