"""What the layers of a map are called in its file: written by `mapping`, read by many."""

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
"""Layer -> how the description of its band ends, behind the target and a comma."""


def bands_of(source: DatasetReader) -> dict[str, int]:
    """The numbers of a map's bands by layer, from their descriptions."""
    titles = [(title or "").rsplit(", ", 1)[-1] for title in source.descriptions]
    return {name: titles.index(title) + 1 for name, title in TITLES.items() if title in titles}
