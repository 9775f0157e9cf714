"""Batched autoregressive flows: building blocks, training and densities."""
