"""Points, lines and polygons: outlines, zones, access."""
