"""Gaussian fields over cells, hours and time: the priors of tilts and of flows on cells."""
