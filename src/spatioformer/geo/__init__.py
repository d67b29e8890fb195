"""Grids, rasters, plot tables and chips: numpy, rasterio, geopandas; no torch."""
