"""Sums over the pixels of a raster round given places: `plain` in numpy, `compiled` by numba.

Both add the same numbers in the same order, so that their results are equal to the last bit.
"""
