"""The map of a run in a browser: a server of tiles, clicked places and polygons, and its page.

`run.py` holds what is served of a run; `rasters.py` reads it; `tiles.py` makes tiles that carry
numbers; `at.py`, `explain.py` and `zones.py` answer clicks and polygons; `app.py` and
`security.py` are the web application; `serve.py` runs it and `export.py` writes it as files.
"""
