"""Virtual floras, whose true richness is known everywhere, and the rasters they are made from."""
