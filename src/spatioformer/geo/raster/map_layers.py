"""Titles of a map's layers, as the band descriptions of its file state them."""

from rasterio.io import DatasetReader

TITLES = {
    "mean": "mean",
    "sd": "standard deviation",
    "lower": "lower end of the interval",
    "upper": "upper end of the interval",
    "di": "dissimilarity index",
    "inside": "inside the area of applicability (1) or not (0)",
    "valid": "a prediction was made (1)",
}
"""Layer -> title. A band's description is the target, a comma and the title."""


def bands_of(source: DatasetReader) -> dict[str, int]:
    """Band numbers of a map by layer, from the band descriptions."""
    titles = [(title or "").rsplit(", ", 1)[-1] for title in source.descriptions]
    return {name: titles.index(title) + 1 for name, title in TITLES.items() if title in titles}
