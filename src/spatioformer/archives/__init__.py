"""Imagery from public archives: from a region and years to yearly composites on one grid.

A source of the configuration names a collection and a catalogue. `catalogues/` finds its items,
`remote/` reads their files, `scenes.py` turns one item into values and clear pixels on a window of
the target grid, `composites/` reduces the dates of a year, and `stack.py` joins the sources into a
stack that is read window by window. Nothing wall-to-wall is held in memory.
"""
