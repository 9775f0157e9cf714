"""Studies: the paper's and a simulated quarter."""
