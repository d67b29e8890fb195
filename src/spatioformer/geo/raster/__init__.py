"""Rasters: one file as a layer, several layers as a stack on one grid."""
