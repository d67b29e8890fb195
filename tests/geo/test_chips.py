"""Chips: the right pixels, the right coordinates, the right refusals."""

import numpy as np
import pandas as pd
import pytest
from rasterio.transform import from_origin

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.geo.chips import check_patch, open_chips
from spatioformer.geo.cutting import cut_chips
from spatioformer.geo.grid import LONLAT, Grid
from tests.helpers.landscape import write_raster

GRID = Grid(LONLAT, from_origin(10, 50, 0.5, 0.25), 40, 30)


@pytest.fixture
def own_coordinates(tmp_path):
    """A raster whose bands are its own lon and lat, with one hole at row 5, column 6."""
    lon, lat = GRID.lonlat(*np.mgrid[: GRID.height, : GRID.width])
    data = np.stack([lon, lat]).astype(np.float32)
    data[:, 5, 6] = np.nan
    return write_raster(
        tmp_path / "xy.tif", data, transform=GRID.transform, nodata=np.nan, names=("lon", "lat")
    )


def at(rows, cols, **columns):
    lon, lat = GRID.lonlat(np.asarray(rows), np.asarray(cols))
    return pd.DataFrame({"plot_id": [f"p{i}" for i in range(len(lon))], "lon": lon, "lat": lat,
                         "richness": 1.0} | columns)  # fmt: skip


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_chips_hold_their_own_coordinates(tmp_path, own_coordinates, patch, monkeypatch):
    monkeypatch.setattr("spatioformer.geo.cutting.TILE", 16)  # several tiles, halos between them
    rng = np.random.default_rng(1)
    plots = at(rng.integers(8, 37, 50), rng.integers(9, 27, 50))
    lost = cut_chips(own_coordinates, plots, patch, tmp_path / "chips")
    store = open_chips(tmp_path / "chips")
    assert len(lost) == 0
    assert store.patch == patch
    assert store.bands == ["lon", "lat"]
    np.testing.assert_array_equal(store.table["plot_id"], plots["plot_id"])
    np.testing.assert_array_equal(store.chips[..., 0], store.lon.astype(np.float32))
    np.testing.assert_array_equal(store.chips[..., 1], store.lat.astype(np.float32))
    half = patch // 2
    np.testing.assert_allclose(store.lon[:, half, half], plots["lon"], rtol=0, atol=1e-12)
    if patch > 1:  # north first, west first
        assert (store.lat[:, 0, 0] > store.lat[:, 1, 0]).all()
        assert (store.lon[:, 0, 0] < store.lon[:, 0, 1]).all()


def test_plots_without_a_whole_chip_are_named(tmp_path, own_coordinates):
    plots = at([20, 6, 0, 100], [20, 7, 10, 5])
    lost = cut_chips(own_coordinates, plots, 3, tmp_path / "chips")
    assert dict(zip(lost["plot_id"], lost["reason"], strict=True)) == {
        "p1": "1 of the chip's 9 pixels hold no data",
        "p2": "3 of the chip's 9 pixels hold no data",
        "p3": "outside the imagery",
    }
    assert open_chips(tmp_path / "chips").table["plot_id"].tolist() == ["p0"]


def test_swapped_coordinates_are_recognised(tmp_path, own_coordinates):
    plots = at([20, 21], [20, 20])
    lon, lat = plots.loc[1, "lon"], plots.loc[1, "lat"]
    plots.loc[1, ["lon", "lat"]] = [lat, lon]
    lost = cut_chips(own_coordinates, plots, 1, tmp_path / "chips")
    assert lost["reason"].tolist() == [
        "outside the imagery, but inside it with lon and lat swapped"
    ]


def test_no_plot_inside_is_one_sentence(tmp_path, own_coordinates):
    plots = at([400], [5])
    with pytest.raises(ImageryError, match="none of the 1 plots lies in the imagery"):
        cut_chips(own_coordinates, plots, 1, tmp_path / "chips")
    assert not (tmp_path / "chips").exists()


@pytest.mark.parametrize(("patch", "hint"), [(4, "3 or 5"), (0, "1 or 1"), (-2, "1 or -1")])
def test_even_chips_have_no_centre(patch, hint):
    with pytest.raises(ModelError, match="has no centre pixel"):
        check_patch(patch)


def test_no_store_is_one_sentence(tmp_path):
    with pytest.raises(ImageryError, match="holds no chips; run `spatioformer chips` first"):
        open_chips(tmp_path)
