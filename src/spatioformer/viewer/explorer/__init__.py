"""The model explorer: why a model says what it says, of the three models of the project.

`run.py`, `text.py` and `vision.py` hold what is shown of a run, a text model and a Vision
Transformer; `routes.py` and `model_routes.py` the addresses that the page
explorer.html asks. Arrays travel as `packing` packs
them.
"""
