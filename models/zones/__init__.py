"""Which connected, compact zones of cells to choose under a common budget of area."""
