"""Images to classes or values with a Vision Transformer: read, train, predict, look at attention.

`images` reads, `preparation` scales, `model` is a network with its preparation as a folder,
`training` the loop, `experiment` the whole of `vision train`; `predictions` and `pictures` show.
"""
