"""Export models as ONNX files: one file that R, JavaScript, QGIS's Python and others read.

`graph` writes and checks a file; `network`, `text` and `vision` say what is in that of a network of
plots, of a text transformer and of a Vision Transformer; `export` chooses among them.
"""
