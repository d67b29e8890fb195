"""Networks: torch only; no raster, no table, no file path."""
