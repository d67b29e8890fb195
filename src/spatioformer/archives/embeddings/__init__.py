"""Annual satellite embeddings: a vector of 64 or 128 numbers for each pixel of 10 m.

`alphaearth.py` and `tessera.py` read the stores of the two collections as tiles of vectors.
`mosaic.py` brings the tiles of all UTM zones onto the target grid, by the weights of
`footprints.py`. `source.py` chooses the reader of a collection.
"""
