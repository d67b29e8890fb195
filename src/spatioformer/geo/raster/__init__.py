"""Rasters: one file as a layer, layers as a stack on one grid."""
