"""`spatioformer years`: maps of several years, and the raster of their trend."""

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_origin

from spatioformer.analysis.trends import PValues, mann_kendall, real_changes, red_noise, theil_sen
from spatioformer.analysis.years import imagery_of_map, map_trend, map_years
from spatioformer.common.errors import ConfigError, ImageryError, OutputError
from spatioformer.mapping import Output
from spatioformer.models.network import NetworkModel
from tests.helpers.landscape import write_raster
from tests.helpers.maps import BANDS, Mirror, disk_of, noise, read, small
from tests.helpers.tiny_run import Ended, assert_refused, half_written, spatioformer

pytestmark = pytest.mark.slow

YEARS = (2015, 2016, 2018, 2019, 2020, 2021, 2022)
SHAPE = (270, 130)
NAMES = ("mean", "lower end of the interval", "upper end of the interval")


def planted(seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """float32 (year, layer, y, x): noise of sd 1, and 2 species a year more in the east half."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(40, 1, (len(YEARS), *shape))
    mean[:, :, shape[1] // 2 :] += 2.0 * (np.array(YEARS) - 2015)[:, None, None]
    width = rng.uniform(1, 2, mean.shape)
    return np.stack([mean, mean - width, mean + width], 1).astype(np.float32)


def maps_of(
    folder: Path, values: np.ndarray, years=YEARS, names=NAMES, **options
) -> dict[int, Path]:
    titles = tuple(f"plant species richness, {name}" for name in names)
    return {
        year: write_raster(
            folder / f"in_{year}.tif", layers, names=titles, nodata=np.nan, **options
        )
        for year, layers in zip(years, values, strict=True)
    }


def layers_of(path: Path) -> dict[str, np.ndarray]:
    with rasterio.open(path) as source:
        titles = [title.rsplit(", ", 1)[-1] for title in source.descriptions]
        return dict(zip(titles, source.read(), strict=True))


@pytest.fixture(scope="module")
def trend(tmp_path_factory) -> tuple[np.ndarray, Path, dict]:
    """Planted values with holes, the folder of their trend, and its summary."""
    folder = tmp_path_factory.mktemp("trend")
    values = planted()
    values[:, :, :10, :10] = np.nan  # no year
    values[2:, :, 20:30, :10] = np.nan  # two years
    values[1:4, :, 40:50, :] = np.nan  # four, which is enough
    found = map_trend(maps_of(folder, values), folder, rho=0)
    return values, folder, found


def test_every_layer_is_what_numpy_makes_of_the_whole_cube(trend):
    values, folder, _ = trend
    mean, lower, upper = (values[:, i].reshape(len(YEARS), -1).astype(float) for i in range(3))
    count = np.isfinite(mean).sum(0)
    found = {name: layer.ravel() for name, layer in layers_of(folder / "trend.tif").items()}
    some, several, tested = count > 0, count > 1, count >= 4

    def same(title: str, expected: np.ndarray, where: np.ndarray) -> None:
        np.testing.assert_allclose(found[title][where], expected[where], rtol=1e-6, atol=1e-7)
        assert np.isnan(found[title][~where]).all()

    same("years with a value", count, some)
    with np.errstate(invalid="ignore"):
        same("mean over years", np.nansum(mean, 0) / np.maximum(count, 1), some)
    spread = np.full(count.shape, np.nan)
    spread[several] = np.nanstd(mean[:, several], axis=0, ddof=1)
    same("standard deviation over years", spread, several)
    same("Theil-Sen slope", theil_sen(mean, YEARS), tested)
    p = mann_kendall(mean)[1]
    same("p of the Mann-Kendall test", p, tested)
    counted = PValues()
    counted.add(p[tested])
    same(
        "trend significant (1) or not (0)",
        np.float32(p) <= np.float32(counted.threshold(0.05)),
        tested,
    )
    real = real_changes(mean, lower, upper) != 0
    same("changes between years larger than their interval", real.sum(0), some)
    years = np.where(real, np.array(YEARS[1:])[:, None], 9999).min(0)
    same("year of the first such change", years, real.any(0))
    years = np.where(real, np.array(YEARS[1:])[:, None], 0).max(0)
    same("year of the last such change", years, real.any(0))


def test_the_planted_trend_is_found_and_the_rest_is_left(trend):
    _, folder, found = trend
    layers = layers_of(folder / "trend.tif")
    significant = layers["trend significant (1) or not (0)"]
    east = np.zeros(SHAPE, bool)
    east[:, SHAPE[1] // 2 :] = True
    whole = layers["years with a value"] == len(YEARS)
    assert significant[east & whole].mean() > 0.99
    false = (significant == 1) & ~east
    assert false.sum() / (significant == 1).sum() < 0.05
    assert found["rising"] + found["falling"] == (significant == 1).sum()
    assert found["tested"] == np.isfinite(significant).sum()
    assert found["pixels"] == SHAPE[0] * SHAPE[1] - 100
    assert abs(layers["Theil-Sen slope"][east & whole].mean() - 2) < 0.01


def test_the_file_is_a_cog_with_units_and_tags(trend):
    _, folder, found = trend
    with rasterio.open(folder / "trend.tif") as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.units[3] == "species/year"
        tags = source.tags()
        assert tags["YEARS"] == "2015,2016,2018,2019,2020,2021,2022"
        assert tags["LEAST_YEARS"] == "4"
        assert float(tags["P_THRESHOLD"]) == pytest.approx(found["p_threshold"], rel=1e-5)
    assert not half_written(folder)
    assert not list(folder.glob("*.lock"))


def scenes(folder: Path, years=(2019, 2020, 2021), shape=(40, 30)) -> dict[int, Path]:
    """Imagery whose first band is the year less 2000, and the pixel's row."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + np.zeros(shape, np.float32)
    return {
        year: write_raster(
            folder / f"scene_{year}.tif",
            np.stack([rows + year - 2000, np.ones(shape, np.float32)]),
            names=tuple(BANDS),
        )
        for year in years
    }


def mirror() -> NetworkModel:
    """A model that answers with the first band."""
    return NetworkModel(Mirror(1000), BANDS)


def test_a_map_a_year_and_their_trend(tmp_path):
    found = map_years(mirror(), scenes(tmp_path), tmp_path / "out", stac=True)
    with rasterio.open(tmp_path / "out" / "map_2020.tif") as source:
        assert source.tags()["YEAR"] == "2020"
        np.testing.assert_array_equal(source.read(1)[:, 0], np.arange(40) + 20)
    layers = layers_of(tmp_path / "out" / "trend.tif")
    assert (layers["Theil-Sen slope"] == 1).all()
    assert (layers["standard deviation over years"] == 1).all()
    np.testing.assert_array_equal(layers["mean over years"][:, 0], np.arange(40) + 20)
    # Three years, all in order: 2 of 6 orders are as extreme.
    np.testing.assert_array_equal(layers["p of the Mann-Kendall test"], np.float32(1 / 3))
    assert (layers["trend significant (1) or not (0)"] == 0).all()
    assert found["tested"] == 1200
    assert (found["rising"], found["falling"], found["mean_slope"]) == (0, 0, 1)


def test_years_and_trend_in_one_catalogue(tmp_path):
    out = tmp_path / "out"
    map_years(mirror(), scenes(tmp_path), out, stac=True)
    collection = pystac.Collection.from_dict(json.loads((out / "collection.json").read_text()))
    collection.validate()
    links = [link.href for link in collection.links if link.rel == "item"]
    names = ["map_2019", "map_2020", "map_2021", "trend"]
    assert links == [f"./{name}.item.json" for name in names]
    assert not list(out.glob("*.collection.json")), "one for all"
    spans = {}
    for name in names:
        item = json.loads((out / f"{name}.item.json").read_text())
        pystac.Item.from_dict(item | {"stac_extensions": []}).validate()
        assert item["collection"] == collection.id == "out"
        assert {
            link["href"] for link in item["links"] if link["rel"] in ("collection", "root")
        } == {"./collection.json"}
        spans[name] = [item["properties"][f"{end}_datetime"][:4] for end in ("start", "end")]
        (asset,) = item["assets"].values()
        with rasterio.open(out / asset["href"]) as source:
            assert [band["name"] for band in asset["raster:bands"]] == list(source.descriptions)
    assert spans == {f"map_{y}": [str(y)] * 2 for y in (2019, 2020, 2021)} | {
        "trend": ["2019", "2021"]
    }
    assert collection.extent.to_dict()["temporal"]["interval"] == [
        ["2019-01-01T00:00:00Z", "2021-12-31T23:59:59Z"]
    ]
    assert collection.extent.spatial.bboxes == [item["bbox"]]
    assert item["properties"]["spatioformer:false_discovery_rate"] == "0.05"
    made_of = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
    assert made_of == links[:3]


def test_a_killed_run_goes_on_and_what_stands_is_kept(tmp_path, monkeypatch):
    imagery, out = scenes(tmp_path), tmp_path / "out"
    whole = map_years(mirror(), imagery, tmp_path / "whole")
    model = mirror()
    with monkeypatch.context() as patched:
        patched.setattr("spatioformer.analysis.years.write_trend", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            map_years(model, imagery, out)
    seen = model.network.seen.sum()
    assert seen == 3 * 1200
    (out / "map_2021.tif").unlink()
    (out / "map_2020.tif.lock").write_text("{}")  # as left by a kill just after the map
    assert map_years(model, imagery, out) == whole
    assert model.network.seen.sum() == seen + 1200
    assert not [*out.glob("*.lock")]
    for name in ("map_2019.tif", "map_2021.tif", "trend.tif"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    stood = (out / "trend.tif").stat().st_mtime_ns
    assert map_years(model, imagery, out) == whole
    assert (out / "trend.tif").stat().st_mtime_ns == stood
    with pytest.raises(OutputError, match=r"trend.tif stands and is of other rasters"):
        map_years(model, imagery, out, fdr=0.1)
    more = scenes(tmp_path / "more", (2022,))
    assert map_years(model, imagery | more, out, overwrite=True)["years"][-1] == 2022
    assert model.network.seen.sum() == seen + 2 * 1200  # 2022 alone
    noise(imagery[2019], (40, 30))
    with pytest.raises(OutputError, match=r"map_2019.tif stands and is of other rasters"):
        map_years(model, imagery, out)
    assert (out / "map_2019.tif").exists()


def test_the_imagery_of_a_map_is_found_while_it_is_the_same_file(tmp_path):
    imagery, out = scenes(tmp_path), tmp_path / "out"
    map_years(mirror(), imagery, out)
    assert imagery_of_map(out / "map_2020.tif") == imagery[2020]
    os.utime(imagery[2020], (1, 1))
    assert imagery_of_map(out / "map_2020.tif") is None
    assert imagery_of_map(tmp_path / "map_2020.tif") is None
    record = json.loads((out / "years.json").read_text())
    del record["map_2021.tif"]["facts"]
    (out / "years.json").write_text(json.dumps(record))  # as an older version wrote it
    assert imagery_of_map(out / "map_2021.tif") is None
    map_years(mirror(), scenes(tmp_path), out, overwrite=True)
    assert imagery_of_map(out / "map_2021.tif") == imagery[2021]


def test_maps_of_an_older_version_stay(tmp_path):
    """Version 0.1 wrote years.json with other names; the version in it makes no map old."""
    imagery, out, model = scenes(tmp_path), tmp_path / "out", mirror()
    whole = map_years(model, imagery, out)
    record = json.loads((out / "years.json").read_text())
    old = {}
    for name, entry in record.items():
        old[name] = {"asked": entry["made_of"], "found": entry["facts"]}
        if name != "trend.tif":
            old[name]["asked"]["version"] = "0.0.9"
    (out / "years.json").write_text(json.dumps(old))
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tif")}
    assert len(before) == 4
    assert map_years(model, imagery, out) == whole
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tif")} == before
    noise(imagery[2020], (40, 30))
    with pytest.raises(OutputError, match=r"map_2020.tif stands and is of other rasters"):
        map_years(model, imagery, out)


def test_years_on_different_grids_are_brought_to_one(tmp_path):
    imagery = scenes(tmp_path)
    larger = scenes(tmp_path / "larger", (2021,), (50, 60))[2021]
    same = map_years(mirror(), imagery, tmp_path / "same")
    grid = imagery[2019]
    found = map_years(mirror(), imagery | {2021: larger}, tmp_path / "brought", grid=grid)
    assert found == same
    one, other = (read(tmp_path / name / "trend.tif") for name in ("same", "brought"))
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_scaled_integers_and_masks_are_read_as_their_values(tmp_path):
    plain = np.random.default_rng(0).uniform(5, 60, (3, 1, 40, 30)).round(2).astype(np.float32)
    plain[1, 0, :5] = np.nan
    years = (2001, 2002, 2003)
    folders = tmp_path / "float", tmp_path / "whole"
    map_trend(maps_of(folders[0], plain, years, ("mean",)), folders[0])
    whole = np.where(np.isnan(plain), 65535, (plain * 100).round()).astype(np.uint16)
    maps = {
        year: write_raster(folders[1] / f"{year}.tif", layer, nodata=65535)
        for year, layer in zip(years, whole, strict=True)
    }
    for path in maps.values():
        with rasterio.open(path, "r+") as source:
            source.scales = [0.01]
    map_trend(maps, folders[1])
    one, other = (read(folder / "trend.tif") for folder in folders)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert len(one) == 6  # nothing about intervals, which these maps lack


def test_the_command(tmp_path):
    maps = maps_of(tmp_path, planted(shape=(20, 30)))
    words = [f"{year}={path}" for year, path in maps.items()]
    ended = spatioformer("years", "--maps", *words, "-o", tmp_path / "a", "--rho", 0)
    line = f"{tmp_path}/a/trend.tif: 600 pixels tested over 7 years, 301 rise and 1 fall "
    rest = "significantly (autocorrelation 0.00 allowed for)"
    assert (ended.code, ended.out, ended.err) == (0, "", f"{line}{rest}\n")
    table = tmp_path / "years.csv"
    table.write_text("year,path\n" + "".join(f"{y},{p.name}\n" for y, p in maps.items()))
    assert spatioformer("years", "--maps", table, "-o", tmp_path / "b", "-q", "--rho", 0) == Ended(
        0, "", ""
    )
    assert (tmp_path / "a/trend.tif").read_bytes() == (tmp_path / "b/trend.tif").read_bytes()


def test_a_model_by_the_command(tmp_path):
    small().save(tmp_path / "model")
    words = [f"{year}={path}" for year, path in scenes(tmp_path, (1999, 2000, 2001)).items()]
    out = tmp_path / "out"
    ended = spatioformer("years", tmp_path / "model", *words, "-o", out, "--samples", 0, "-q")
    assert ended == Ended(0, "", "")
    assert sorted(path.name for path in out.iterdir()) == [
        *(f"map_{year}{end}" for year in (1999, 2000, 2001) for end in (".qml", ".tif")),
        *("trend.tif", "years.json"),
    ]  # fmt: skip
    with rasterio.open(out / "map_1999.tif") as map_, rasterio.open(out / "trend.tif") as trend:
        for name in ("GRAIN", "MODEL", "MODEL_ID", "TARGET"):
            assert map_.tags()[name] == trend.tags()[name]
    assert_refused(
        spatioformer("years", *words, "-o", out),
        f"{words[0]!r} should be a model's folder, with rasters by year behind it; for maps that "
        "stand already, give --maps",
    )


MISTAKES = {
    "two years": (
        ["2001=a.tif", "2002=b.tif"],
        "a trend needs 3 to 50 years and there are 2; give that many rasters, one a year",
    ),
    "a year twice": (
        ["2001=a.tif", "2002=b.tif", "2001=c.tif"],
        "the year 2001 has two rasters, a.tif and c.tif; give one raster a year",
    ),
    "no year": (
        ["now=a.tif", "2002=b.tif", "2001=c.tif"],
        "'now' is not a year for a.tif; give one such as 2015",
    ),
    "no raster": (
        ["a.tif", "2002=b.tif", "2001=c.tif"],
        "'a.tif' is not a year and a raster; give words such as 2015=a.tif, or one CSV with the "
        "columns year and path",
    ),
    "no such map": (
        ["2001=a.tif", "2002=b.tif", "2003=c.tif"],
        "a.tif does not exist; give the path of a map",
    ),
    "no such table": (
        ["years.csv"],
        "years.csv cannot be read (No such file or directory); give a CSV with the columns year "
        "and path",
    ),
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(spatioformer("years", "--maps", *words, "-o", "out"), sentence)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_mistakes_in_the_rasters(tmp_path):
    maps = maps_of(tmp_path, planted(shape=(5, 5))[:3], (1, 2, 3))
    out = tmp_path / "out"
    moved = write_raster(tmp_path / "moved.tif", np.ones((5, 6), np.float32))
    with pytest.raises(
        ImageryError, match=r"moved.tif \(4\) is on another grid than .*_1.tif \(1\)"
    ):
        map_trend(maps | {4: moved}, out)
    nameless = write_raster(tmp_path / "n.tif", np.ones((2, 5, 5), np.float32), names=("a", "b"))
    with pytest.raises(ImageryError, match=r"none of the 2 bands of .* \(a, b\) is described as"):
        map_trend(maps | {4: nameless}, out)
    placeless = write_raster(tmp_path / "p.tif", np.ones((5, 5), np.float32), crs=None)
    with pytest.raises(ImageryError, match=r"p.tif has no coordinate reference system; write one"):
        map_trend(maps | {4: placeless}, out)
    (tmp_path / "t.tif").write_text("no raster")
    with pytest.raises(ImageryError, match=r"t.tif cannot be opened as a raster"):
        map_trend(maps | {4: tmp_path / "t.tif"}, out)
    with pytest.raises(ConfigError, match=r"--least 2 is impossible with 3 years; .* from 3 to 3"):
        map_trend(maps, out, least=2)
    with pytest.raises(
        ConfigError, match=r"--fdr 5 is not a share of false discoveries; give one between 0 and 1"
    ):
        map_trend(maps, out, fdr=5)
    with pytest.raises(ConfigError, match=r"--rho 1 is not an autocorrelation; give 0 or more"):
        map_trend(maps, out, rho=1)
    assert not list(out.glob("*"))


def test_what_is_read_is_never_written_over(tmp_path):
    imagery = scenes(tmp_path)
    imagery[2019] = imagery[2019].rename(tmp_path / "map_2019.tif")
    before = imagery[2019].read_bytes()
    with pytest.raises(OutputError, match=r"map_2019.tif: it is one of the rasters to read"):
        map_years(mirror(), imagery, tmp_path, overwrite=True)
    assert imagery[2019].read_bytes() == before
    maps = maps_of(tmp_path, planted(shape=(5, 5))[:3], (1, 2, 3))
    maps[3] = maps[3].rename(tmp_path / "trend.tif")
    with pytest.raises(OutputError, match=r"trend.tif: it is one of the rasters to read"):
        map_trend(maps, tmp_path, overwrite=True)


def test_a_full_disk_and_a_damaged_map_leave_no_trend(tmp_path):
    maps = maps_of(tmp_path, planted(shape=(200, 200))[:3], (1, 2, 3))
    with disk_of(100_000), pytest.raises(OutputError, match=r"cannot write .*trend.tif"):
        map_trend(maps, tmp_path / "out")
    values = read(maps[2])[0]
    whole = write_raster(maps[2], values, compress="deflate").read_bytes()
    middle = len(whole) // 2
    maps[2].write_bytes(whole[:middle] + b"\xff" * 2000 + whole[middle + 2000 :])
    with pytest.raises(ImageryError, match=r"in_2.tif cannot be read .* damaged or cut short"):
        map_trend(maps, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix == ".tif"]
    maps[2].write_bytes(whole)
    (tmp_path / "out" / "years.json").write_text("[1]")
    assert map_trend(maps, tmp_path / "out")["pixels"] == 40_000


def test_all_imagery_is_looked_at_before_a_year_is_mapped(tmp_path):
    imagery, out, model = scenes(tmp_path), tmp_path / "out", mirror()
    lacking = write_raster(tmp_path / "l.tif", np.ones((2, 40, 30), np.float32), names=("a", "c"))
    with pytest.raises(ImageryError, match=r"l.tif lacks 1 of the 2 bands the model needs"):
        map_years(model, imagery | {2022: lacking}, out)
    narrow = noise(tmp_path / "s.tif", (40, 29))
    with pytest.raises(ImageryError, match=r"s.tif \(2022\) is on another grid .* give --grid"):
        map_years(model, imagery | {2022: narrow}, out)
    with pytest.raises(ImageryError, match=r"nowhere.tif does not exist"):
        map_years(model, imagery | {2022: tmp_path / "nowhere.tif"}, out)
    with pytest.raises(
        ConfigError, match=r"years are compared by their mean layer; include the layer mean"
    ):
        map_years(model, imagery, out, output=Output(("valid",)))
    assert model.network.seen.sum() == 0
    assert not out.exists()


@pytest.mark.slow
def test_noise_that_goes_on_is_allowed_for(tmp_path):
    years = tuple(range(2001, 2021))
    noise = red_noise(len(years), 64 * 64, 0.6, np.random.default_rng(5)).astype(np.float32)
    maps = maps_of(tmp_path, noise.reshape(-1, 1, 64, 64), years, ("mean",))
    classical = map_trend(maps, tmp_path / "classical", rho=0)
    allowed = map_trend(maps, tmp_path / "allowed")
    assert allowed["autocorrelation"] == pytest.approx(0.6, abs=0.03)
    assert classical["rising"] + classical["falling"] > 500
    assert allowed["rising"] + allowed["falling"] < 5
    p = layers_of(tmp_path / "allowed" / "trend.tif")["p of the Mann-Kendall test"].ravel()
    rho = allowed["autocorrelation"]
    np.testing.assert_array_equal(p, mann_kendall(noise, rho)[1].astype(np.float32))
    with rasterio.open(tmp_path / "allowed" / "trend.tif") as source:
        assert source.tags()["AUTOCORRELATION"] == str(rho)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_map(tmp_path):
    fine = from_origin(140, -20, 0.01, 0.01)

    def peak(blocks: int) -> int:
        values = np.zeros((3, 1, 256 * blocks, 256), np.float32)
        maps = maps_of(tmp_path / str(blocks), values, (1, 2, 3), ("mean",), transform=fine)
        tracemalloc.start()
        try:
            map_trend(maps, tmp_path / str(blocks))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # imports and caches
    assert peak(8) == pytest.approx(peak(2), rel=0.02)
