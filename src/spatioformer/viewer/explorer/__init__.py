"""The model explorer: why a model says what it says, of the three models of the project.

`run.py`, `text.py` and `vision.py` hold what is shown of a run, a text model and a Vision
Transformer; `router.py` the addresses of the page explorer.html. Arrays travel as `packing` packs
them.
"""
