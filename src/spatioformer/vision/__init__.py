"""Images to classes or values with a Vision Transformer: read, train, predict, look at attention.

`images` reads, `model` knows what a network needs to see, `training` is the loop, `experiment` the
whole of `vision train`, `pictures` draws.
"""
