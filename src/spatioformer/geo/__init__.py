"""Grids, rasters, plot tables and chips, with numpy, rasterio and geopandas; no torch."""
