"""Vision Transformers for image classification and regression: read images, train, predict.

`images` reads, `preparation` scales, `model` is a network with its preparation as a folder,
`training` is the loop, `experiment` does `vision train`; `predictions` and `pictures` show results.
"""
