"""The files that the pages of the documentation name, small and made up, in the current folder.

`plots.csv`, `landsat.tif`, `runs/demo` and so on: a reader has them, or makes them with a command
that a test does not run.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import yaml
from affine import Affine
from PIL import Image
from rasterio.transform import from_origin
from shapely.geometry import LineString, box

from spatioformer.text.corpus import MODULE
from tests.helpers import archive_run, darwin_core, explored_run, landscape, predictors
from tests.helpers.pages import ROOT, run_command
from tests.helpers.rasters import write_netcdf
from tests.helpers.scenes import write_scene
from tests.helpers.text import train, write_encoder, write_sword
from tests.helpers.tiny_run import finished

QUICK = {"models": ["location-knn"], "curve_sizes": [], "workers": 1}
BANDS = ("red", "green", "blue")
WEST, NORTH = landscape.WEST, landscape.NORTH
EAST, SOUTH = archive_run.EAST, archive_run.SOUTH
WORDS = ("rey", "reina", "hombre", "mujer", "banco", "zorro", "perro", "cielos", "tierra", "la")

Piece = Callable[[], object]
"""Writes some of the files into the current folder."""


def plots() -> None:
    """plots.csv with dates and two covariates; my_plots.csv with other names of columns."""
    table = landscape.plots().rename(columns={"plot": "plot_id", "area": "area_m2"})
    rng = np.random.default_rng(1)
    table["date"] = [f"{2019 + i % 5}-06-15" for i in range(len(table))]
    table["elevation"] = rng.integers(0, 900, len(table))
    table["rain"] = rng.integers(300, 1200, len(table))
    table.to_csv("plots.csv", index=False)
    named = {"lon": "x", "lat": "y", "richness": "species"}
    table.rename(columns=named).to_csv("my_plots.csv", index=False)


def rasters() -> None:
    """Bands and climate of the landscape, imagery of three years, and a warmer climate."""
    for number, name in enumerate(("landsat", "a", "b", "c", "warmer")):
        landscape.write_raster(Path(f"{name}.tif"), landscape.imagery(number), names=BANDS)
    climate = landscape.imagery(9)[:2].astype(np.float32)
    landscape.write_raster(Path("climate.tif"), climate, names=("temperature", "rain"))
    landscape.write_raster(Path("dem.tif"), climate[0], names=("dem",))
    edges = (np.arange(landscape.SIDE) + 0.5) * landscape.STEP
    axes = {
        "time": (np.arange(12) * 30, "days since 2000-01-01"),
        "lat": (NORTH - edges, "degrees_north"),
        "lon": (WEST + edges, "degrees_east"),
    }
    write_netcdf(Path("era5.nc"), axes, "tp", np.repeat(climate[1:] / 1000, 12, 0))


def configuration() -> None:
    """my_run.yaml of plots.csv and landsat.tif."""
    settings = {
        "name": "my-run",
        "plots": {"path": "plots.csv"},
        "imagery": {"layers": [{"path": "landsat.tif", "name": "landsat", "band_names": [*BANDS]}]},
        "evaluate": {"splits": [{"name": "random", "kind": "random", "folds": 2}]} | QUICK,
        "map": {"model": "location-knn", "samples": 0},
    }
    Path("my_run.yaml").write_text(yaml.safe_dump(settings))


def areas() -> None:
    """parks.gpkg with a field NAME, and roads.gpkg."""
    parks = [box(141, -22, 142.5, -21), box(143, -25, 144, -23.5)]
    frame = gpd.GeoDataFrame({"NAME": ["north", "south"]}, geometry=parks, crs="EPSG:4326")
    frame.to_file("parks.gpkg")
    road = LineString([(WEST, NORTH), (EAST, SOUTH)])
    gpd.GeoDataFrame({"road": [1]}, geometry=[road], crs="EPSG:4326").to_file("roads.gpkg")


def demo() -> None:
    """runs/demo, a finished run with a network."""
    made = Path("made")
    finished(made)
    shutil.copytree(made / "run", "runs/demo")
    shutil.rmtree(made)


def outside() -> None:
    """The model and the map of runs/demo outside it."""
    shutil.copytree("runs/demo/model", "model")
    for name in ("map.tif", "today.tif"):
        shutil.copy("runs/demo/map.tif", name)


def demo_in_the_east() -> None:
    """runs/demo, a run of a network with location and imagery around 147.3 E, 33.1 S."""
    folder = explored_run.write(Path("runs/demo"))
    model = explored_run.bundle(explored_run.network(location=explored_run.LOCATION))
    replace(model, facts=model.facts | {"region": [110, 155, -45, -10]}).save(folder / "model")
    with rasterio.open(folder / "imagery.tif", "r+") as imagery:
        imagery.transform = from_origin(146, -32.3, landscape.STEP, landscape.STEP)


def yearly() -> None:
    """years.csv, and maps of three years."""
    Path("years.csv").write_text("year,path\n2021,a.tif\n2022,b.tif\n2023,c.tif\n")
    for number in (1, 2, 3):
        shutil.copy("runs/demo/map.tif", f"m{number}.tif")


def scenario() -> None:
    """warmer.yaml with the bands of the model of runs/demo."""
    layer = {"name": "image", "path": "warmer.tif", "band_names": [*BANDS]}
    settings = {"name": "warmer", "imagery": {"layers": [layer]}}
    Path("warmer.yaml").write_text(yaml.safe_dump(settings))


def table() -> None:
    """south_america/plots.csv and new_places.csv with the bands of climate.tif, and a class."""
    plots = landscape.plots().drop(columns="area")
    rng = np.random.default_rng(2)
    plots["temperature"], plots["rain"] = rng.uniform(50, 200, (2, len(plots)))
    plots["Biome"] = np.where(plots["lon"] > 143, "Dry tropics and subtropics", "Temperate")
    Path("south_america").mkdir()
    plots.to_csv("south_america/plots.csv", index=False)
    plots.drop(columns="richness").head(20).to_csv("new_places.csv", index=False)


def inventory() -> None:
    """trees.csv, a row a visit and species."""
    rows = [(f"v{i // 3}", 141 + i // 3 / 10, -21.5, f"Poa {'abc'[i % 3]}lba") for i in range(30)]
    frame = pd.DataFrame(rows, columns=["plot", "lon", "lat", "species"])
    frame.assign(date="2019-05-01").to_csv("trees.csv", index=False)


def sentinel() -> None:
    """tasmania.csv, and scenes/ with three scenes a year, 2018 to 2024, around its plots."""
    rng, shape = np.random.default_rng(0), (130, 200)
    corner, clear = Affine(100, 0, 515_000, 0, -100, 5_262_000), np.full(shape, 4)
    for year in range(2018, 2025):
        for month in (1, 2, 11):
            red, nir = rng.integers(1000, 4000, (2, *shape)).astype(np.uint16)
            name, bands = f"S2A_{year}{month:02}15", {"red": red, "nir": nir}
            write_scene(Path("scenes"), name, bands, transform=corner, scl=clear)
    lon, lat = rng.uniform(147.21, 147.29, 60), rng.uniform(-42.84, -42.81, 60)
    frame = pd.DataFrame({"lon": lon, "lat": lat, "richness": rng.poisson(20, 60)})
    frame["date"] = [f"{2019 + i % 5}-12-15" for i in range(60)]
    frame.to_csv("tasmania.csv", index=False)


def worldclim() -> None:
    """worldclim/, the archive's file with large pixels; alps.csv, plots in the Alps."""
    predictors.climate_zip(Path("worldclim"), lambda lon, lat: lon + lat, "2.5m", 360)
    shutil.rmtree("worldclim/members")
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(9.7, 11.3, 60), rng.uniform(46.6, 47.4, 60)
    frame = pd.DataFrame({"lon": lon, "lat": lat, "richness": rng.poisson(20, 60)})
    frame.to_csv("alps.csv", index=False)


def dense() -> None:
    """runs/dense, a run whose model is a dense network."""
    explored_run.write(Path("runs/dense"))


def archive() -> None:
    """my_run.yaml whose imagery comes from a folder of scenes, 2019 to 2021."""
    archive_run.write(Path())
    settings = archive_run.settings(Path())
    settings |= {"name": "my-run", "out": "runs/my-run"}
    settings["evaluate"] |= QUICK
    settings["map"] = {"model": "location-knn", "samples": 0}
    Path("my_run.yaml").write_text(yaml.safe_dump(settings))


def downloads() -> None:
    """An archive of GBIF with 40 visits, and an export of sPlotOpen, in the landscape."""
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(WEST + 0.5, EAST - 0.5, 40), rng.uniform(SOUTH + 0.5, NORTH - 0.5, 40)
    names = [f"Poa {a}{b}" for a in "bcdfg" for b in ("alba", "rubra", "minor", "nova")]
    lists = {f"e{i}": rng.choice(names, rng.integers(4, 15), replace=False) for i in range(40)}
    core = darwin_core.events(
        *(
            [f"e{i}", "", f"2019-05-{1 + i % 28:02}", lat[i], lon[i], 400, "m2", "plot", 10]
            for i in range(40)
        )
    )
    darwin_core.archive(Path("0012345-240101000000000.zip"), core, darwin_core.lists(lists))
    folder = Path("sPlotOpen")
    folder.mkdir()
    header = pd.DataFrame(
        {
            "PlotObservationID": range(40),
            "GIVD_ID": "AU-00-001",
            "Dataset": "made up",
            "Date_of_recording": "1999-07-01",
            "Latitude": lat,
            "Longitude": lon,
            "Location_uncertainty": 10,
            "Releve_area": 100,
            "Plant_recorded": "All vascular plants",
        }
    )
    header.to_csv(folder / "sPlotOpen_header.txt", sep="\t", index=False)
    rows = [(i, name) for i in range(40) for name in lists[f"e{i}"]]
    cover = pd.DataFrame(rows, columns=["PlotObservationID", "Species"])
    cover = cover.assign(Original_species=cover["Species"], Original_abundance=1)
    cover = cover.assign(Abundance_scale="CoverPerc", Relative_cover=0.1)
    cover.to_csv(folder / "sPlotOpen_DT.txt", sep="\t", index=False)


def photos() -> None:
    """photos/, coloured images in two folders named after their classes; photo.png is another."""
    rng = np.random.default_rng(0)
    for number in range(24):
        kind = ("forest", "heath")[number % 2]
        pixels = rng.integers(0, 100, (16, 16, 3), dtype=np.uint8)
        pixels[..., number % 2] += 100
        path = Path("photos") / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    shutil.copy("photos/heath/23.png", "photo.png")


def bible() -> None:
    """sword/, the corpus that `spanish` names, with the words of the pages in a few verses."""
    rng = np.random.default_rng(0)
    verses = [" ".join(rng.choice(WORDS, 12)) + ".\n" for _ in range(400)]
    conf = write_sword(Path("sword"), {"nt": [verses]}, Description="made up")
    conf.rename(conf.with_name(MODULE))


def text_model() -> None:
    """runs/biblia, a folder of `text train`."""
    Path("runs").mkdir(exist_ok=True)
    train(Path("runs/biblia"))


def encoder() -> None:
    """models/bert, a folder of a BERT encoder."""
    write_encoder(Path("models/bert"))


def digits() -> None:
    """runs/digits, a folder of `vision train`."""
    run_command("spatioformer vision train digits -o runs/digits")


def examples() -> None:
    """The project's folder `examples`."""
    shutil.copytree(ROOT / "examples", "examples", ignore=shutil.ignore_patterns("*.ipynb"))
