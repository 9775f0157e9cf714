"""Benchmarks of the flows: speed, stability, quality, scale."""
