"""Virtual floras, whose truth is known everywhere, and the rasters that they grow on."""
