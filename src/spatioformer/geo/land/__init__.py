"""The land of the Earth: outlines of countries that the package bundles (LICENSE.txt)."""
