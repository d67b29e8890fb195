"""Maps on another grid than the imagery's: values, masks, and what does not matter."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window
from typer.testing import CliRunner

from spatioformer.cli import app
from spatioformer.common.errors import ImageryError
from spatioformer.mapping import Resources, map_raster
from spatioformer.mapping.cluster import Remote, compute_tile
from spatioformer.mapping.journal import decode
from spatioformer.mapping.predictor import identity
from spatioformer.mapping.regrid import RegriddedSource, open_source
from spatioformer.mapping.source import Source
from spatioformer.models.network import NetworkModel
from tests.helpers.landscape import write_raster
from tests.helpers.maps import BANDS, Mirror, echo, mask, noise, read, small

IMAGERY = Affine(0.1, 0, 140, 0, -0.1, -20)


def template(path, shape, crs="EPSG:4326", transform=IMAGERY):
    return write_raster(path, np.zeros(shape, np.uint8), crs=crs, transform=transform)


def sloped(path, shape=(60, 80)):
    """A raster whose first band rises with longitude and latitude: 100 (lon - 140) - 10 lat."""
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    first = 100 * (0.1 * cols) - 10 * (-20 - 0.1 * rows)
    return write_raster(path, np.stack([first, first]).astype(np.float32), names=tuple(BANDS))


def test_a_part_of_the_imagerys_own_grid_is_that_part_of_its_map(tmp_path):
    """Edge pixels too: around the part there is imagery, and the network sees it."""
    scene = noise(tmp_path / "scene.tif", (40, 50))
    part = template(tmp_path / "t.tif", (11, 9), transform=IMAGERY @ Affine.translation(20, 13))
    map_raster(small(), scene, tmp_path / "all.tif", samples=0)
    map_raster(small(), scene, tmp_path / "part.tif", samples=0, grid=part)
    found = read(tmp_path / "part.tif")[0]
    np.testing.assert_allclose(found, read(tmp_path / "all.tif")[0, 13:24, 20:29], rtol=1e-6)
    assert np.isfinite(found).all()
    with rasterio.open(tmp_path / "part.tif") as one, rasterio.open(part) as other:
        assert one.transform == other.transform


GRIDS = {
    "finer": ((70, 90), "EPSG:4326", Affine(0.03, 0, 141.01, 0, -0.03, -21.02)),
    "coarser": ((9, 13), "EPSG:4326", Affine(0.37, 0, 141, 0, -0.31, -21)),
    "projected": ((31, 37), "EPSG:3577", Affine(9000, 0, 1_010_000, 0, -9000, -2_350_000)),
}


@pytest.mark.parametrize("kind", GRIDS)
def test_values_are_those_of_the_place(tmp_path, kind):
    """Bilinear resampling of a plane is the plane, on any grid; what the model sees and says."""
    shape, crs, transform = GRIDS[kind]
    scene, grid = (
        sloped(tmp_path / "scene.tif"),
        template(tmp_path / "t.tif", shape, crs, transform),
    )

    class Seen(Mirror):
        def forward(self, chips, lon, lat):
            return (chips[:, 0, 0, 0] - 100 * (lon[:, 0, 0] - 140) + 10 * lat[:, 0, 0]).float() + 7

    map_raster(NetworkModel(Seen(1), BANDS), scene, tmp_path / "map.tif", samples=0, grid=grid)
    found = read(tmp_path / "map.tif")[0]
    assert np.isfinite(found).mean() > 0.9
    # A pixel of the imagery is 10 high. GDAL's widened kernel is a sum over whole pixels, whose
    # centre of mass lies within a twentieth of one.
    atol = 0.5 if kind == "coarser" else 0.01
    np.testing.assert_allclose(found[np.isfinite(found)], 7, atol=atol)


def test_coarser_pixels_are_means_of_what_they_cover(tmp_path):
    scene = noise(tmp_path / "scene.tif", (64, 64))
    grid = template(tmp_path / "t.tif", (4, 4), transform=IMAGERY @ Affine.scale(16))
    with RegriddedSource(scene, BANDS, None, grid) as source:
        data, _, _ = source.read(Window(0, 0, 4, 4))
    # Of white noise, a mean over n pixels has a variance of 1 / n; nearest would keep 1.
    assert data.std() < 0.2


def test_windows_and_parts_do_not_matter(tmp_path, monkeypatch):
    scene = noise(tmp_path / "scene.tif", (60, 80))
    shape, crs, transform = GRIDS["projected"]
    grid = template(tmp_path / "t.tif", shape, crs, transform)
    with RegriddedSource(scene, BANDS, None, grid) as source:
        whole, valid, wanted = source.read(Window(0, 0, shape[1], shape[0]))
        monkeypatch.setattr("spatioformer.mapping.regrid.MOST_PIXELS", 500)
        again = source.read(Window(0, 0, shape[1], shape[0]))
        for got, expected in zip(again, (whole, valid, wanted), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5)
        corner, _, _ = source.read(Window(5, 6, 8, 9), halo=2)
    np.testing.assert_allclose(corner, whole[:, 4:17, 3:15], atol=1e-5)
    assert valid.mean() > 0.9


def test_the_imagerys_mask_and_edge_hold(tmp_path):
    wanted = np.ones((60, 80), bool)
    wanted[:, 40:] = False  # east of 144 degrees
    scene = mask(sloped(tmp_path / "scene.tif"), wanted)
    grid = template(tmp_path / "t.tif", (40, 60), transform=Affine(0.2, 0, 138, 0, -0.2, -19))
    map_raster(echo(1), scene, tmp_path / "map.tif", samples=0, grid=grid)
    lon = 138.1 + 0.2 * np.arange(60)
    lat = -19.1 - 0.2 * np.arange(40)[:, None]
    land = (lon > 140) & (lon < 144) & (lat < -20) & (lat > -26)
    found = read(tmp_path / "map.tif")[0]
    np.testing.assert_array_equal(np.isfinite(found), land)
    np.testing.assert_allclose(found[land], (10 * lon - lat)[land], rtol=1e-6)


def test_no_window_of_the_sea_reads_bands(tmp_path, monkeypatch):
    scene = mask(sloped(tmp_path / "scene.tif"), np.zeros((60, 80), bool))
    with open_source(scene, BANDS, None, template(tmp_path / "t.tif", (8, 8))) as source:
        monkeypatch.setattr(source._layer, "read", None)
        data, valid, wanted = source.read(Window(0, 0, 8, 8), halo=1)
    assert data.shape == (2, 10, 10)
    assert not data.any()
    assert not valid.any()
    assert not wanted.any()


def test_workers_of_a_cluster_take_the_same_grid(tmp_path):
    scene = noise(tmp_path / "scene.tif", (40, 50))
    grid = template(tmp_path / "t.tif", (9, 9), transform=IMAGERY @ Affine.translation(20, 13))
    folder = small().save(tmp_path / "model")
    out = tmp_path / "map.tif"
    map_raster(folder, scene, out, samples=0, grid=grid, resources=Resources(workers=1))
    remote = Remote(
        str(folder), identity(folder), str(scene), None, str(grid), ("mean",), 0, 1, 0, 2**26
    )
    _, _, flat = decode(compute_tile(remote, 0, (0, 0, 9, 9)))
    np.testing.assert_array_equal(flat.reshape(9, 9), read(out)[0])


def test_without_a_template_the_grid_is_the_imagerys(tmp_path):
    with open_source(noise(tmp_path / "a.tif", (9, 9)), BANDS, None, None) as source:
        assert type(source) is Source


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda path: path, "does not exist; give --grid a raster whose grid to use"),
        (lambda path: path.write_text("no") and path, "cannot be opened as a raster"),
        (lambda path: template(path, (5, 5), crs=None), "has no coordinate reference system"),
        (
            lambda path: template(path, (5, 5), transform=Affine(0.1, 0, 10, 0, -0.1, 50)),
            "lies outside",
        ),
        (
            lambda path: template(path, (2, 2), transform=Affine(3, 0, 140, 0, -3, -20)),
            "one pixel of the grid covers",
        ),
    ],
)
def test_what_is_no_grid_is_told_in_a_sentence(tmp_path, monkeypatch, made, says):
    monkeypatch.setattr("spatioformer.mapping.regrid.MOST_PIXELS", 500)
    scene = noise(tmp_path / "scene.tif", (60, 80))
    path = made(tmp_path / "t.tif")
    with pytest.raises(ImageryError, match=says):
        map_raster(small(), scene, tmp_path / "map.tif", samples=0, grid=path)
    assert not (tmp_path / "map.tif").exists()


def test_the_command_takes_a_grid(tmp_path):
    scene = noise(tmp_path / "scene.tif", (40, 50))
    part = template(tmp_path / "t.tif", (7, 8), transform=IMAGERY @ Affine.translation(3, 3))
    folder = small().save(tmp_path / "model")
    out = tmp_path / "map.tif"
    options = ["-o", str(out), "--samples", "0", "--grid", str(part)]
    result = CliRunner().invoke(app, ["map", str(folder), str(scene), *options])
    assert result.exit_code == 0, result.output
    assert read(out).shape == (1, 7, 8)
