"""Batched autoregressive flows: building blocks, training, and what is made of them."""
