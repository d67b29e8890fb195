"""Vector files: polygons over a raster, and the places that people can reach."""
