"""A contest of small areas: the selection of cells is learned, the density of models stays as it is."""
