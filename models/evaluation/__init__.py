"""How good a forecast was, and whether a difference between two is more than chance."""
