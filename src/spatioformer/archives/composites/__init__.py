"""From the observations of a period to one value a pixel: numpy in, numpy out.

Shapes: values (time, band, y, x), float32. A number that is not finite, or beyond 1e18, is missing:
NaN is what the package writes, and a forgotten fill value of -3.4e38 must not become a colour.

A pixel's result depends on its own observations alone: not on its neighbours, the block in which it
was computed, or the number of threads. Loops over pixels are inside numpy or, where the extra
`fast` is installed, in kernels that numba compiles.
"""
