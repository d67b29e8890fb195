"""Titles of a map's layers, as the band descriptions of its file state them."""

import re

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

_LEVEL = re.compile(r"[\d.]+ % interval$")


def title_of(layer: str, level: float | None = None) -> str:
    """Title of a layer; of an interval's end with its level, such as 0.9 for "90 %"."""
    if level is None or layer not in ("lower", "upper"):
        return TITLES[layer]
    return TITLES[layer].replace("interval", f"{100 * level:g} % interval")


def bands_of(source: DatasetReader) -> dict[str, int]:
    """Band numbers of a map by layer, from the band descriptions."""
    texts = [(text or "").rsplit(", ", 1)[-1] for text in source.descriptions]
    titles = [_LEVEL.sub("interval", text) for text in texts]
    return {name: titles.index(title) + 1 for name, title in TITLES.items() if title in titles}
