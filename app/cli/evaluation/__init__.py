"""Commands that judge forecasts."""
