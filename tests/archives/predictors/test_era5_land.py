"""ERA5-Land by year from files of the user: units, months by their days, sentences."""

import calendar
import zipfile

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.collections import collection_of
from spatioformer.archives.predictors.months import month_lengths
from spatioformer.archives.rows import CollectionRow, raw_table
from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.config.archives import SourceSection
from spatioformer.geo.grid import Grid
from tests.helpers.predictors import opened, year_of_era5

NAME = "era5-land-monthly"
UNITS = {"t2m": "K", "tp": "m", "swvl1": "m**3 m**-3", "ssrd": "J m**-2"}
BANDS = (
    *("temperature", "temperature_coldest", "temperature_warmest", "precipitation"),
    *("soil_water", "soil_water_driest", "radiation"),
)
GREENWICH = Grid(CRS.from_epsg(4326), Affine(5, 0, -32.5, 0, -5, 62.5), 8, 13)
"""Pixels whose centres are those of the files, from 30 W to 30 E."""


def months(start: float, step: float) -> np.ndarray:
    """Monthly values (12, 37, 72): start + step (month + 0.01 lon + lat²/1000), sea south."""
    lat, lon = np.linspace(90, -90, 37)[:, None], np.arange(72) * 5.0
    lon = np.where(lon > 180, lon - 360, lon)
    values = start + step * (np.arange(12.0)[:, None, None] + 0.01 * lon + lat**2 / 1000)
    values[:, 30:] = np.nan
    return values


def variables() -> dict[str, tuple[str, np.ndarray]]:
    return {
        "t2m": (UNITS["t2m"], months(280, 1)),
        "tp": (UNITS["tp"], months(0.002, 1e-4)),
        "swvl1": (UNITS["swvl1"], months(0.3, -0.01)),
        "ssrd": (UNITS["ssrd"], months(1e7, 1e6)),
    }


def write(folder, of=None, year=2004, **keys):
    year_of_era5(
        folder / f"era5_land_{year}.nc", of or variables(), year, **({"packed": False} | keys)
    )


def read(folder, bands=BANDS, year=2004, grid=GREENWICH):
    reader, items = opened(NAME, folder, grid, folder / "cache", year=year, bands=bands)
    return reader.read(items, Window(0, 0, grid.width, grid.height))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("year", [2003, 2004])
def test_months_become_the_climate_of_a_year(tmp_path, packed, year):
    write(tmp_path, year=year, packed=packed, axes=() if packed else ("number",))
    values = dict(zip(BANDS, read(tmp_path, year=year), strict=True))
    lat, lon = 60 - 5 * np.arange(8.0)[:, None], -30 + 5 * np.arange(13.0)
    place = 0.01 * lon + lat**2 / 1000  # in steps of a month
    days = np.array([calendar.monthrange(year, month)[1] for month in range(1, 13)])
    rain = sum(n * (2 + 0.1 * (month + place)) for month, n in enumerate(days))
    expected = {
        "temperature": 280 - 273.15 + 5.5 + place,
        "temperature_coldest": 280 - 273.15 + place,
        "temperature_warmest": 280 - 273.15 + 11 + place,
        "precipitation": rain,
        "soil_water": 0.3 - 0.01 * (5.5 + place),
        "soil_water_driest": 0.3 - 0.01 * (11 + place),
        "radiation": 10 + 5.5 + place,
    }
    assert days.sum() == 365 + (year == 2004)
    for band, known in expected.items():
        atol = (0.001 if packed else 1e-5) * np.abs(known).max()
        np.testing.assert_allclose(values[band], known, atol=atol, err_msg=band)


def test_sea_is_missing_and_the_poles_are_read(tmp_path):
    write(tmp_path)
    grid = Grid(CRS.from_epsg(4326), Affine(5, 0, -180, 0, -5, 90), 36, 72)
    values = read(tmp_path, ("temperature",), grid=grid)[0]
    assert np.isfinite(values[:29]).all()
    assert np.isnan(values[31:]).all()


def test_months_in_another_order_count_with_their_own_days(tmp_path):
    order = np.roll(np.arange(12), 5)
    times = np.array([f"2004-{month + 1:02d}-01" for month in order], "datetime64[s]")
    write(tmp_path / "a")
    write(
        tmp_path / "b",
        {name: (unit, values[order]) for name, (unit, values) in variables().items()},
        times=times,
    )
    np.testing.assert_allclose(read(tmp_path / "a"), read(tmp_path / "b"), rtol=1e-6)


def test_only_the_variables_that_are_read_are_needed(tmp_path):
    write(tmp_path, {"t2m": variables()["t2m"]})
    assert np.isfinite(read(tmp_path, ("temperature_warmest",))).all()
    with pytest.raises(ImageryError, match=r"era5_land_2004.nc has no variable tp, only t2m; "):
        read(tmp_path, ("temperature", "precipitation"))


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        (np.arange("2004-01", "2004-08", dtype="M8[M]"), r"holds 7 steps of time, and the 12 mon"),
        (np.arange("2003-01", "2004-01", dtype="M8[M]"), r"holds 2003-01, and each month of 2004"),
        (np.arange("2004-02", "2005-02", dtype="M8[M]"), r"holds 2005-01, and each month of 2004"),
        (np.repeat(np.arange("2004-01", "2004-07", dtype="M8[M]"), 2), r"holds 2004-01 twice, and"),
        (np.arange("2003-01", "2005-01", dtype="M8[M]"), r"holds 24 steps of time"),
    ],
)
def test_other_months_are_one_sentence(tmp_path, times, sentence):
    held = {"t2m": ("K", np.full((len(times), 37, 72), 280.0))}
    write(tmp_path, held, times=times.astype("M8[s]"))
    with pytest.raises(ImageryError, match=rf"source s: era5-land_earth_2004: the file {sentence}"):
        read(tmp_path, ("temperature",))


class Variable:
    """What `month_lengths` reads of an open NetCDF variable."""

    def __init__(self, axis: str, unit: str, times, count: int = 12, **more: str):
        self.count, self.indexes = count, range(1, count + 1)
        self._file = {f"{axis}#units": unit}
        self._bands = [{f"NETCDF_DIM_{axis}": str(time), **more} for time in times]

    def tags(self, number: int | None = None) -> dict[str, str]:
        return self._file if number is None else self._bands[number - 1]


def test_the_axis_of_times_may_hold_dates():
    days = month_lengths(Variable("date", "", range(20040101, 20041201 + 1, 100)), 2004, "s")
    np.testing.assert_array_equal(days, [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        (Variable("time", "d", range(24), 24, NETCDF_DIM_expver="1"), "holds preliminary months"),
        (Variable("step", "days since 2004-01-01", range(12)), "states no times .* not known"),
        (Variable("time", "months since 2004-01-01", range(12)), None),
        (Variable("time", "days since 2004-01-01 12:30:00", range(12)), None),
        (Variable("time", "days since 2004-13-01", range(12)), None),
        (Variable("time", "days since 2004-01-01", ["nan"] * 12), None),
        (Variable("date", "", range(20041301, 20041313)), None),
        (Variable("time", "days since 2004-01-01", [1e300] * 12), None),
    ],
)
def test_times_that_cannot_be_read_are_one_sentence(variable, sentence):
    sentence = f"s: the {'file ' + sentence if sentence else 'time .* cannot be read; it must be'}"
    with pytest.raises(ImageryError, match=sentence):
        month_lengths(variable, 2004, "s")


@pytest.mark.parametrize(("unit", "band"), [("degC", "temperature"), ("m s-1", "precipitation")])
def test_another_unit_is_one_sentence(tmp_path, unit, band):
    name = "t2m" if band == "temperature" else "tp"
    write(tmp_path, {name: (unit, variables()[name][1])})
    with pytest.raises(
        ImageryError, match=rf"{name} of .* has the unit '{unit}', and '{UNITS[name]}' was"
    ):
        read(tmp_path, (band,))


def test_a_zip_archive_under_the_name_is_one_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "era5_land_2004.nc", "w") as archive:
        archive.writestr("data_stream-moda.nc", "")
    with pytest.raises(ImageryError, match=r"era5_land_2004.nc is a zip archive; unpack it, and"):
        read(tmp_path)


@pytest.mark.parametrize("share", [0.001, 0.5])
def test_a_file_that_is_cut_short_is_one_sentence(tmp_path, share):
    write(tmp_path)
    path = tmp_path / "era5_land_2004.nc"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ImageryError) as caught:
        read(tmp_path)
    assert "era5_land_2004.nc" in str(caught.value)


def test_a_year_without_a_file_is_one_sentence(tmp_path):
    write(tmp_path)
    with pytest.raises(ImageryError, match=r"there is no file .*era5_land_2005.nc; check the path"):
        read(tmp_path, year=2005)


def test_without_a_folder_the_sentence_says_what_to_fetch():
    section = SourceSection(name="climate", collection=NAME, years=(2004,))
    sentence = r"^source climate: era5-land-monthly needs `endpoint`, a folder .*era5_land_YEAR.nc"
    with pytest.raises(ConfigError, match=sentence):
        collection_of(section)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"values": {"unit": "mm"}, "bands": {"a": {"keys": ["a"], "file_unit": "K"}}},
         r"`file_unit` 'K' cannot be converted to `unit` 'mm'; known are K to degC"),
        ({"kind": "static", "years": None, "period": [1950, 2000]}, r"`months` of `files` belongs"),
        ({"files": {"form": "a.nc"}}, r"`reduce: daily_sum` needs `files: \{months: true\}`"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        CollectionRow.model_validate({**raw_table()[NAME], **changes})
