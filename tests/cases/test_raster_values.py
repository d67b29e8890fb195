"""What a raster's numbers mean: alike in the imagery stage, maps and years, or refused."""

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.windows import Window
from scipy.io import netcdf_file

from spatioformer.analysis.years.series import Series
from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.layers import open_layer
from spatioformer.geo.raster.netcdf import reduced
from spatioformer.geo.raster.stack import Layer, Mask, Stack, build_stack
from spatioformer.mapping import map_raster
from spatioformer.mapping.regrid import open_source
from tests.helpers.landscape import write_raster
from tests.helpers.maps import BANDS, small
from tests.helpers.rasters import months, refused, stack_of

pytestmark = [pytest.mark.filterwarnings("error::RuntimeWarning"), pytest.mark.integration]


@pytest.mark.parametrize(("scale", "offset"), [(2.0, 0.0), (0.5, -10.0)])
def test_a_map_of_a_raster_with_scale_is_that_of_the_plain_one(tmp_path, scale, offset):
    rng = np.random.default_rng(0)
    raw = rng.integers(1, 100, (2, 24, 24)).astype(np.uint16)
    plain = raw * np.float32(scale) + np.float32(offset)
    maps = []
    for name, data in (("plain", plain), ("scaled", raw)):
        path = write_raster(tmp_path / f"{name}.tif", data, names=tuple(BANDS), nodata=None)
        if name == "scaled":
            with rasterio.open(path, "r+") as target:
                target.scales, target.offsets = (scale,) * 2, (offset,) * 2
        map_raster(small(), path, tmp_path / f"{name}_map.tif", samples=0)
        maps.append(rasterio.open(tmp_path / f"{name}_map.tif").read(1))
        with open_source(path, BANDS, None, path) as source:  # on the grid of another raster
            data, _, _ = source.read(Window(3, 3, 9, 9))
            np.testing.assert_array_equal(data, plain[:, 3:12, 3:12])
    np.testing.assert_array_equal(*maps)


def test_years_read_scales_and_alpha_as_the_imagery_stage(tmp_path):
    paths = {}
    for year in range(2001, 2008):
        data = np.stack([np.full((4, 4), year - 2000), np.full((4, 4), 255)]).astype(np.uint8)
        data[1, 0, 0] = 0
        paths[year] = write_raster(tmp_path / f"{year}.tif", data, alpha="yes")
        with rasterio.open(paths[year], "r+") as target:
            target.scales = (2.0, 1.0)
    with Series(paths) as series:
        values = series.read(Window(0, 0, 4, 4))
    assert np.isnan(values[0, :, 0]).all()
    np.testing.assert_array_equal(values[0, :, 5], 2 * np.arange(1, 8))


def test_sums_of_missing_months(tmp_path):
    values = np.full((12, 8, 8), 10.0)
    values[:, :, 6:] = -999
    values[:6, 0, 0] = -999
    path = months(values, tmp_path / "rain.nc", _FillValue=np.float32(-999))
    layer = {"path": path, "name": "rain", "variable": "tp", "reduce": "sum"}
    data, wanted, summary = stack_of(tmp_path / "s.tif", Layer(**layer))
    assert summary["pixels_to_predict"] == 47
    assert not wanted[0, 0]
    assert set(data[0][wanted]) == {120}
    data, wanted, _ = stack_of(tmp_path / "s.tif", Layer(**layer, min_share=0.5))
    assert wanted.sum() == 48
    assert data[0, 0, 0] == 60


@pytest.mark.parametrize("reduce", ["mean", "sum", "min", "max"])
def test_reductions_skip_missing_steps_without_a_warning(reduce):
    data = np.array([[[1.0, 3, np.nan]], [[2, np.nan, np.nan]], [[6, 5, np.nan]]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some, strict = reduced(data, reduce, 0), reduced(data, reduce, 1)
    expected = {"mean": [3, 4], "sum": [9, 8], "min": [1, 3], "max": [6, 5]}[reduce]
    np.testing.assert_array_equal(some[0, 0], [*expected, np.nan])
    np.testing.assert_array_equal(strict[0, 0], [expected[0], np.nan, np.nan])


def test_missing_value_beside_fill_value_and_a_valid_range(tmp_path):
    values = np.array([[[1.0, -999, -1, 7, 40]] * 2])
    path = months(
        values, tmp_path / "a.nc", _FillValue=np.float32(-999), missing_value=np.float32(-1),
        valid_range=np.array([0, 20], "f4"),
    )  # fmt: skip
    with open_layer(Layer(path, "a", variable="tp")) as opened:
        np.testing.assert_array_equal(opened.read_all()[0, 0], [1, np.nan, np.nan, 7, np.nan])


def test_a_variable_that_is_not_there(tmp_path):
    path = months(np.ones((1, 4, 4)), tmp_path / "t.nc")
    refused(
        f"layer rain: variable 't2m' is not in {path}; set `variable` to tp",
        Layer(path, "rain", variable="t2m"),
        out=tmp_path / "s.tif",
    )
    tif = write_raster(tmp_path / "a.tif", np.ones((4, 4), np.float32))
    refused(
        f"layer rain: `variable` is for NetCDF files (.nc), and {tif} is another kind; remove "
        "`variable`",
        Layer(tif, "rain", variable="tp"),
        out=tmp_path / "s.tif",
    )


@pytest.mark.parametrize("name", ["rain 2014-05-03T10:00.nc", "a b/précip:1.nc", 'say "x".nc'])
def test_names_of_netcdf_files(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    months(np.arange(16).reshape(1, 4, 4), path)
    for variable in ("tp", None):
        _, wanted, _ = stack_of(tmp_path / "s.tif", Layer(path, "rain", variable=variable))
        assert wanted.sum() == 16


@pytest.mark.parametrize("dtype", ["uint32", "int32", "int64", "uint64", "float64"])
@pytest.mark.parametrize("shift", [0.0, 0.03])
def test_large_class_codes_are_exact(tmp_path, dtype, shift):
    """Codes that are one in float32, on the imagery's lattice and off it."""
    codes = np.repeat([20_000_000, 20_000_001, 5], 10)[None].repeat(30, 0).astype(dtype)
    a = write_raster(tmp_path / "a.tif", np.ones((30, 30), np.float32))
    transform = from_origin(140 + shift, -20, 0.1, 0.1)
    mask = write_raster(tmp_path / "id.tif", codes, transform=transform)
    _, wanted, _ = stack_of(
        tmp_path / "s.tif", Layer(a, "a"), masks=[Mask(Layer(mask, "id"), (20_000_000, -1))]
    )
    assert wanted[:, 11:].all()
    assert not wanted[:, 1:10].any()
    data, _, summary = stack_of(
        tmp_path / "c.tif", Layer(a, "a"), Layer(mask, "id", categorical=True)
    )
    assert summary["bands"] == ["a", "id_5", "id_20000000", "id_20000001"]
    assert data[2, :, 1:10].all()
    assert not data[2, :, 11:].any()
    assert data[3, :, 11:20].all()


def test_classes_of_a_mask_are_never_averaged(tmp_path):
    """Water (0) beside forest (20), half a pixel off: no pixel becomes grass (10)."""
    a = write_raster(tmp_path / "a.tif", np.ones((20, 20), np.float32))
    cover = np.tile(np.array([0, 20], np.uint8), (20, 10))
    path = write_raster(tmp_path / "c.tif", cover, transform=from_origin(140.05, -20, 0.1, 0.1))
    _, wanted, _ = stack_of(
        tmp_path / "s.tif", Layer(a, "a"), masks=[Mask(Layer(path, "c"), (10,))]
    )
    assert wanted[:, 1:].all()
    refused(
        "layer c: resampling 'average' computes averages of classes; set `resampling` to nearest "
        "or mode",
        Layer(path, "c", categorical=True, resampling="average"),
        out=tmp_path / "t.tif",
    )


@pytest.mark.parametrize(("shift", "notes"), [(0.0, 0), (0.1, 0), (0.05, 1)])
def test_bilinear_masks_are_remarked_where_they_are_interpolated(tmp_path, shift, notes):
    """A mask on pixels of the same lattice is read as it is."""
    a = write_raster(tmp_path / "a.tif", np.ones((20, 20), np.float32))
    cover = np.tile(np.array([0, 20], np.uint8), (20, 10))
    place = from_origin(140 + shift, -20, 0.1, 0.1)
    path = write_raster(tmp_path / "c.tif", cover, transform=place)
    mask = Mask(Layer(path, "c", resampling="bilinear"), (20,))
    _, wanted, summary = stack_of(tmp_path / "s.tif", Layer(a, "a"), masks=[mask])
    assert len(summary["notes"]) == notes
    assert all(note.startswith("mask c: `resampling: bilinear`") for note in summary["notes"])
    if not notes:
        first = round(shift / 0.1)
        np.testing.assert_array_equal(wanted[0, first:], cover[0, : 20 - first] == 0)


@pytest.mark.parametrize("nodata", [None, 0])
def test_alpha_masks_and_is_no_band(tmp_path, nodata):
    data = np.full((4, 30, 30), 7, np.uint8)
    data[3] = 255
    data[3, :, 25:] = 0
    path = write_raster(
        tmp_path / "photo.tif", data, photometric="RGB", alpha="non-premultiplied", nodata=nodata
    )
    data, wanted, summary = stack_of(tmp_path / "s.tif", Layer(path, "photo"))
    assert summary["bands"] == ["photo_1", "photo_2", "photo_3"]
    assert wanted[:, :25].all()
    assert not wanted[:, 25:].any()
    with Stack(path) as stack:  # `map` of the raster itself
        assert stack.bands == ["band_1", "band_2", "band_3"]
        _, valid, wanted = stack.read(Window(0, 0, 30, 30))
    assert valid[:, :25].all()
    assert not valid[:, 25:].any()
    refused(
        f"layer photo: {path}: band 4 is alpha, which masks the others; leave it out of `bands`",
        Layer(path, "photo", bands=(1, 4)),
        out=tmp_path / "t.tif",
    )


def test_complex_numbers(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.ones((4, 4), np.complex64), names=("a",))
    for read in (lambda: build_stack([Layer(path, "a")], tmp_path / "s.tif"), lambda: Stack(path)):
        with pytest.raises(ImageryError, match="band 1 holds complex numbers; compute the ampli"):
            read()


def test_a_colour_table_needs_a_word(tmp_path):
    classes = np.tile(np.array([10, 200], np.uint8), (40, 20))
    path = write_raster(tmp_path / "cover.tif", classes)
    with rasterio.open(path, "r+") as target:
        target.write_colormap(1, {10: (0, 99, 0, 255), 200: (0, 0, 99, 255)})
        target.colorinterp = [ColorInterp.palette]
    refused(
        f"layer cover: {path} has a colour table, so its values look like classes; set "
        "`categorical: true` for one 0/1 band a class, or `categorical: false` for numbers",
        Layer(path, "cover"),
        out=tmp_path / "s.tif",
    )
    for categorical, bands in ((True, ["cover_10", "cover_200"]), (False, ["cover"])):
        _, _, summary = stack_of(tmp_path / "s.tif", Layer(path, "cover", categorical=categorical))
        assert summary["bands"] == bands
        assert summary["notes"] == []


@pytest.mark.parametrize("power", [1.0, 1.1])
def test_a_few_integers_of_netcdf_are_remarked(tmp_path, power):
    """Also where rows are unequal, so that the values are interpolated."""
    path = tmp_path / "a.nc"
    with netcdf_file(path, "w") as out:
        for name, units in (("lat", "degrees_north"), ("lon", "degrees_east")):
            out.createDimension(name, 20)
            axis = out.createVariable(name, "f8", (name,))
            axis[:] = np.arange(20.0) ** (power if name == "lat" else 1)
            axis.units = units
        values = np.array([10, 20, 30, 200])[np.arange(400) % 4].reshape(20, 20)
        out.createVariable("cover", "i2", ("lat", "lon"))[:] = values
        out.Conventions = "CF-1.6"
    _, _, summary = stack_of(tmp_path / "s.tif", Layer(path, "cover"))
    assert summary["notes"][0].startswith("cover holds only 4 different integers (10, 20, 30, 200)")


@pytest.mark.parametrize(("key", "given", "own"), [("offset", -273.15, 200), ("scale", 2, 0.5)])
def test_units_that_replace_those_of_the_file_are_remarked(tmp_path, key, given, own):
    """A user who turns kelvin into degrees Celsius may think that both offsets count."""
    path = write_raster(tmp_path / "t.tif", np.arange(8100, dtype=np.int16).reshape(90, 90))
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.5,), (200,)
    _, _, summary = stack_of(tmp_path / "s.tif", Layer(path, "t", **{key: given}))
    assert summary["notes"] == [
        f"layer t: `{key}: {given}` replaces the {key} {own} that t.tif states, and does not come "
        f"on top of it; leave `{key}` out to take the values of the file"
    ]
    for silent in ({}, {key: own}):
        _, _, summary = stack_of(tmp_path / "s.tif", Layer(path, "t", **silent))
        assert summary["notes"] == []


def test_a_few_integers_are_remarked(tmp_path):
    classes = np.random.default_rng(0).choice([10, 20, 30, 200], (90, 90)).astype(np.int16)
    path = write_raster(tmp_path / "cover.tif", classes)
    _, _, summary = stack_of(tmp_path / "s.tif", Layer(path, "cover"))
    assert summary["notes"] == [
        "cover holds only 4 different integers (10, 20, 30, 200), which look like classes; set "
        "`categorical: true` for one 0/1 band a class, or `categorical: false` for numbers"
    ]
    for settled in ({"categorical": False}, {"resampling": "nearest"}):
        _, _, summary = stack_of(tmp_path / "s.tif", Layer(path, "cover", **settled))
        assert summary["notes"] == []


@pytest.mark.parametrize(
    ("dtype", "value", "shown"),
    [("float32", -3.4028234663852886e38, "-3.4028235e+38"), ("float32", -9999, "-9999"),
     ("int16", -32768, "-32768"), ("uint16", 65535, "65535"), ("float32", 1e20, "1e+20"),
     ("int32", -99999, "-99999")],
)  # fmt: skip
def test_undeclared_missing_values_are_remarked(tmp_path, dtype, value, shown):
    dem = np.arange(900).reshape(30, 30).astype(dtype)
    dem[:5] = value
    path = write_raster(tmp_path / "dem.tif", dem)
    _, wanted, summary = stack_of(tmp_path / "s.tif", Layer(path, "dem"))
    assert wanted.all()
    assert summary["notes"] == [
        f"17 % of the values of dem are {shown}, which looks like missing data; if it is, set "
        f"`nodata: {shown}` in that layer"
    ]
    _, wanted, summary = stack_of(tmp_path / "s.tif", Layer(path, "dem", nodata=float(shown)))
    assert wanted.sum() == 750
    assert summary["notes"] == []


@pytest.mark.parametrize("offset", [(15, 0), (0, 30), (15, 30)])
def test_pieces_of_one_raster(tmp_path, offset):
    col, row = offset
    pieces = [
        write_raster(
            tmp_path / f"{name} 1.tif", np.ones((2, 30, 15), np.float32), names=("B2", "B3"),
            transform=from_origin(140 + 0.1 * c, -20 - 0.1 * r, 0.1, 0.1),
        )
        for name, c, r in (("a", 0, 0), ("b", col, row))
    ]  # fmt: skip
    layers = [Layer(path, name) for path, name in zip(pieces, "ab", strict=True)]
    refused(
        "layers a and b look like pieces of one raster, side by side, so that no pixel has values "
        f"of both; join all pieces first (gdalbuildvrt mosaic.vrt '{pieces[0]}' '{pieces[1]}') and "
        "give mosaic.vrt as one layer",
        *layers,
        out=tmp_path / "s.tif",
    )


def test_stacks_keep_data_outside_their_mask(tmp_path):
    """A stack of a run: the mask says where to predict, and chips reach beyond it."""
    a = write_raster(tmp_path / "a.tif", np.ones((8, 8), np.float32))
    sea = write_raster(tmp_path / "sea.tif", np.eye(8, dtype=np.uint8))
    out = tmp_path / "s.tif"
    build_stack([Layer(a, "a")], out, masks=[Mask(Layer(sea, "sea"), (1,))])
    with Stack(out) as stack:
        _, valid, wanted = stack.read(Window(0, 0, 8, 8))
    assert valid.all()
    np.testing.assert_array_equal(wanted, np.eye(8) == 0)
