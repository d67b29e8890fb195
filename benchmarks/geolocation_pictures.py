"""The pictures of docs/geolocation.md: what location encoders compute, over the whole Earth.

python -m benchmarks.geolocation_pictures docs/images
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from spatioformer.nn.geolocation import ENCODERS, location_encoder

WAVELENGTHS = (75.0, 37.0, 18.5, 9.2)  # of plots all over Australia
STEP = 1.0
PLACE = (178.0, -18.0)  # Fiji, beside the date line
SHOWN = 4
PLANE = {"paper", "sinusoids"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.manual_seed(0)
    encoders = {
        name: location_encoder(name, None if name == "paper" else WAVELENGTHS, 32)
        for name in ENCODERS
    }
    lon = torch.arange(-180 + STEP / 2, 180, STEP, dtype=torch.float64)
    lat = torch.arange(90 - STEP / 2, -90, -STEP, dtype=torch.float64)
    lat, lon = torch.meshgrid(lat, lon, indexing="ij")
    with torch.inference_mode():
        maps = {name: e(lon, lat).numpy() for name, e in encoders.items()}
        place = torch.tensor(PLACE, dtype=torch.float64)
        points = {name: e(place[0], place[1]).numpy() for name, e in encoders.items()}
    draw_features(maps, folder / "geolocation_features.png")
    draw_similarity(maps, points, folder / "geolocation_similarity.png")


def draw_features(maps: dict[str, np.ndarray], path: Path) -> None:
    figure, axes = plt.subplots(
        len(maps), SHOWN, figsize=(11, 8), sharex=True, sharey=True, layout="constrained"
    )
    for row, (name, features) in zip(axes, maps.items(), strict=True):
        count = features.shape[-1]
        for axis, k in zip(row, np.linspace(0, count - 1, SHOWN).astype(int), strict=True):
            image = show(axis, features[..., k])
            axis.set_title(f"{name}: feature {k + 1} of {count}", fontsize=8)
    label(axes)
    figure.colorbar(image, ax=axes, label="feature, no unit", shrink=0.5)
    figure.savefig(path, dpi=90)


def draw_similarity(maps: dict[str, np.ndarray], points: dict[str, np.ndarray], path: Path) -> None:
    figure, axes = plt.subplots(
        2, 3, figsize=(11, 4.6), sharex=True, sharey=True, layout="constrained"
    )
    for axis, (name, features) in zip(axes.flat, maps.items(), strict=False):
        mean = features.mean(axis=(0, 1))  # what is the same everywhere tells no place apart
        centred, point = features - mean, points[name] - mean
        lengths = np.linalg.norm(centred, axis=-1) * np.linalg.norm(point)
        image = show(axis, centred @ point / lengths)
        axis.plot(*PLACE, "o", markersize=6, markerfacecolor="white", markeredgecolor="black")
        seam = "a seam at 180 degrees" if name in PLANE else "no seam"
        axis.set_title(f"{name} ({seam})", fontsize=9)
    axes.flat[-1].set_axis_off()
    label(axes)
    figure.colorbar(
        image, ax=axes, label="cosine with the circle's features,\neach less its mean", shrink=0.8
    )
    figure.savefig(path, dpi=90)


def show(axis, values: np.ndarray):
    """A map in a diverging scale that colour-blind readers can tell apart."""
    return axis.imshow(values, cmap="PuOr", vmin=-1, vmax=1, extent=(-180, 180, -90, 90))


def label(axes: np.ndarray) -> None:
    for axis in axes[-1]:
        axis.set_xlabel("longitude, degrees", fontsize=8)
    for axis in axes[:, 0]:
        axis.set_ylabel("latitude, degrees", fontsize=8)


if __name__ == "__main__":
    main()
