"""Plots from archives: Darwin Core, GBIF, sPlotOpen, AusPlots, Turboveg, inventories, matrices.

`importing.import_plots` is the entry. A reader of one format (`darwin_core/`, `tables`, `matrices`)
makes a `survey.Survey`: visits, the names on their lists, and where both come from. What follows is
the same for all formats: names are counted (`richness`), nested plots are joined (`nested`),
coordinates are judged (`coordinates`), and `geo.plots.table` checks the rows.
"""
