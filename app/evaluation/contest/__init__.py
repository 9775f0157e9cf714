"""The contest of small areas on a region's past, and the cells for its next weeks."""
