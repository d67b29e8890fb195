import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.config.imagery import RasterSection
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.layers import Layer, open_layer
from spatioformer.geo.raster.unit_length import check_unit_length, lengths, to_unit_length
from spatioformer.run.imagery import layer_of

UTM = CRS.from_epsg(32755)


def vectors(bands=8, side=12, seed=0):
    values = np.random.default_rng(seed).normal(size=(bands, side, side))
    return (values / np.linalg.norm(values, axis=0)).astype(np.float32)


def written(path, values, **profile):
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", nodata=np.nan, crs="EPSG:32755",
        transform=Affine(10, 0, 600_000, 0, -10, 6_100_000), count=len(values),
        height=values.shape[1], width=values.shape[2], **profile,
    ) as file:  # fmt: skip
        file.write(values)
    return path


def test_lengths_and_unit_vectors():
    values = np.array([[[3.0, np.nan, 1e-4]], [[4.0, 1.0, 0.0]]])
    np.testing.assert_array_equal(lengths(values), [[5.0, np.nan, 1e-4]])
    scaled = to_unit_length(values)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled[:, 0, 0], np.float32([0.6, 0.8]))
    assert np.isnan(scaled[:, 0, 1:]).all()


def test_a_single_pixel_has_the_bits_that_it_has_in_a_window():
    values = np.random.default_rng(0).normal(size=(64, 9, 11)).astype(np.float32)
    whole = to_unit_length(values)
    for row, col in np.ndindex(9, 11):
        part = to_unit_length(values[:, row : row + 1, col : col + 1])
        assert part.tobytes() == whole[:, row : row + 1, col : col + 1].tobytes()


@pytest.mark.parametrize("resampling", ["average", "bilinear", "cubic", "nearest"])
def test_a_layer_keeps_the_length_of_its_vectors(tmp_path, resampling):
    values = vectors()
    values[3, 5, 6] = np.nan  # one band of one pixel
    path = written(tmp_path / "e.tif", values)
    grid = Grid(UTM, Affine(30, 0, 600_000, 0, -30, 6_100_000), 4, 4)
    layer = Layer(path, "e", resampling=resampling, unit_length=True)
    with open_layer(layer) as opened:
        read = opened.read(Window(0, 0, 4, 4), grid)
    known = np.isfinite(read)
    assert (known.all(axis=0) == known.any(axis=0)).all()
    np.testing.assert_allclose(np.linalg.norm(read, axis=0)[known[0]], 1, atol=1e-6)
    if resampling == "average":
        whole = np.where(np.isnan(values).any(axis=0), np.nan, values).astype(float)
        means = np.nanmean(whole.reshape(8, 4, 3, 4, 3), axis=(2, 4))
        np.testing.assert_allclose(read, means / np.linalg.norm(means, axis=0), atol=1e-6)
    plain = Layer(path, "e", resampling="average")
    with open_layer(plain) as opened:
        assert np.linalg.norm(opened.read(Window(0, 0, 4, 4), grid)[:, 0, 0]) < 0.8


def test_numbers_that_are_no_unit_vectors_are_refused(tmp_path):
    path = written(tmp_path / "raw.tif", vectors() * 127)
    grid = Grid(UTM, Affine(30, 0, 600_000, 0, -30, 6_100_000), 4, 4)
    with (
        open_layer(Layer(path, "e", unit_length=True)) as opened,
        pytest.raises(ImageryError, match=r"layer e: .*raw\.tif .*length 127"),
    ):
        opened.read(Window(0, 0, 4, 4), grid)
    check_unit_length(vectors() * 1.01, "it")
    check_unit_length(np.full((3, 2, 2), np.nan), "it")


@pytest.mark.parametrize("options", [{"bands": (2,)}, {"categorical": True, "bands": (1,)}])
def test_classes_and_single_bands_have_no_length(tmp_path, options):
    path = written(tmp_path / "e.tif", vectors())
    with (
        pytest.raises(ImageryError, match="`unit_length` is for the bands of an embedding"),
        open_layer(Layer(path, "e", unit_length=True, **options)),
    ):
        pass


def test_the_key_of_a_configuration(tmp_path):
    from spatioformer.geo.raster.checks import UNTRUSTED

    section = RasterSection(path="e.tif", name="e", unit_length=True)
    assert layer_of(section, UNTRUSTED).unit_length
    assert not layer_of(RasterSection(path="e.tif", name="e"), UNTRUSTED).unit_length
