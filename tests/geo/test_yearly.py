"""Chips by year: the year of each plot, the windows that are read, the same bytes as a stack."""

import numpy as np
import pandas as pd
import pytest
from rasterio.transform import from_origin

from spatioformer.geo.chips import open_chips
from spatioformer.geo.cutting import cut_chips, cut_from
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.yearly import FILLED, SMALL, YearlyChips, grouped, years_of_plots
from tests.helpers.landscape import write_raster

GRID = Grid(LONLAT, from_origin(10, 50, 0.01, 0.01), 700, 900)
YEARS = (2015, 2016, 2019)


class Scenes:
    """Imagery of each year in memory, with gaps; `read` lists what was read."""

    def __init__(self):
        self.grid, self.bands, self.read = GRID, ["a", "b"], []
        self.data = {}
        for year in YEARS:
            rng = np.random.default_rng(year)
            values = rng.normal(size=(2, *GRID.shape)).astype(np.float32)
            values[:, rng.random(GRID.shape) < 0.02] = np.nan
            self.data[year] = values

    def windows(self, windows, year):
        for number, w in enumerate(windows):
            self.read.append((year, w))
            assert w.row_off >= 0
            assert w.col_off >= 0
            values = self.data[year][
                :, w.row_off : w.row_off + w.height, w.col_off : w.col_off + w.width
            ]
            assert values.shape[1:] == (w.height, w.width)
            yield number, values


@pytest.fixture(scope="module")
def scenes():
    return Scenes()


def plots(n, seed=0):
    """Plots in clumps, some at the edges, one outside."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform((0, 0), GRID.shape, (12, 2))
    rows, cols = (centres[rng.integers(0, 12, n)] + rng.normal(0, 9, (n, 2))).astype(int).T
    lon, lat = GRID.lonlat(rows, cols)
    return pd.DataFrame({"plot_id": [f"p{i}" for i in range(n)], "lon": lon, "lat": lat})


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_chips_are_those_of_a_stack_of_their_year(scenes, tmp_path, patch):
    table = plots(300)
    of_year = np.random.default_rng(1).choice(YEARS, 300)
    lost = cut_from(YearlyChips(scenes, of_year), table, patch, tmp_path / "yearly")
    yearly = open_chips(tmp_path / "yearly")
    assert len(yearly) + len(lost) == 300
    assert 0 < len(lost) < 280
    for year in YEARS:
        path = write_raster(tmp_path / f"{year}.tif", scenes.data[year], nodata=np.nan,
                            transform=GRID.transform, names=("a", "b"))  # fmt: skip
        chosen = table[of_year == year]
        gone = cut_chips(path, chosen, patch, tmp_path / f"chips-{year}")
        whole = open_chips(tmp_path / f"chips-{year}")
        kept = yearly.table["plot_id"].isin(chosen["plot_id"]).to_numpy()
        assert yearly.table[kept]["plot_id"].tolist() == whole.table["plot_id"].tolist()
        assert yearly.chips[kept].tobytes() == whole.chips.tobytes()
        assert yearly.lon[kept].tobytes() == whole.lon.tobytes()
        for name in ("row", "col"):
            assert yearly.table[kept][name].tolist() == whole.table[name].tolist()
        reasons = lost[lost["plot_id"].isin(gone["plot_id"])]
        assert reasons["reason"].tolist() == gone["reason"].tolist()


def test_plots_that_are_refused_are_not_read(scenes, tmp_path):
    table = plots(40)
    refused = np.full(40, "", object)
    refused[:20] = "no date"
    scenes.read.clear()
    lost = cut_from(YearlyChips(scenes, np.full(40, 2015)), table, 1, tmp_path / "c",
                    refused=refused)  # fmt: skip
    rows, cols = GRID.pixel(table["lon"][:20], table["lat"][:20])
    inside = GRID.holds(rows, cols)
    assert lost["reason"][:20].tolist() == [
        "no date" if i else "outside the imagery" for i in inside
    ]
    assert sum(w.height * w.width for _, w in scenes.read) < 20 * 33**2
    assert {year for year, _ in scenes.read} == {2015}


def test_a_window_that_comes_again_replaces_the_first(scenes, tmp_path):
    """As where an item fails in a later window, and is left out of all."""

    class Twice(Scenes):
        def windows(self, windows, year):
            yield 0, np.full((2, windows[0].height, windows[0].width), np.nan, np.float32)
            yield from super().windows(windows, year)

    table = plots(50)
    for name, source in (("once", scenes), ("twice", Twice())):
        cut_from(YearlyChips(source, np.full(50, 2016)), table, 3, tmp_path / name)
    once, twice = open_chips(tmp_path / "once"), open_chips(tmp_path / "twice")
    assert once.chips.tobytes() == twice.chips.tobytes()
    assert once.table.equals(twice.table)


@pytest.mark.parametrize("half", [0, 1, 3])
@pytest.mark.parametrize("spread", [3, 30, 3000])
def test_groups_hold_every_plot_once_and_little_besides(half, spread):
    rng = np.random.default_rng(spread)
    rows, cols = rng.integers(0, spread, (2, 500))
    groups = grouped(rows, cols, half)
    assert sorted(np.concatenate(groups).tolist()) == list(range(500))
    for group in groups:
        r, c = rows[group], cols[group]
        height, width = np.ptp(r) + 2 * half + 1, np.ptp(c) + 2 * half + 1
        chips = len(set(zip(r.tolist(), c.tolist(), strict=True))) * (2 * half + 1) ** 2
        assert max(height, width) <= SMALL or chips >= FILLED * height * width
        assert max(height, width) <= 512 + 2 * half
    if spread == 3:
        assert len(groups) == 1
    if spread == 3000:  # far apart: a window each, but for a few
        assert len(groups) > 400


def dates(*texts):
    return pd.Series(pd.to_datetime(list(texts)))


def test_the_year_of_a_plot_is_its_own_or_the_nearest():
    table, reason = years_of_plots(
        dates("2015-06-01", "2017-12-31", "2018-01-01", "2020-02-02", "2022-01-01", None),
        YEARS, max_years=2,
    )  # fmt: skip
    assert table["composite_year"].tolist()[:4] == [2015, 2016, 2019, 2019]
    assert table["years_apart"].tolist()[:4] == [0, -1, 1, -1]
    assert table[4:].isna().all().all()
    assert reason.tolist() == [
        "", "", "", "",
        "the nearest imagery is of 2019 and the plot of 2022, more than max_years (2) apart",
        "no date, by which to choose one of the years of the imagery",
    ]  # fmt: skip


def test_of_two_years_as_near_the_earlier_one():
    table, _ = years_of_plots(dates("2016-05-05"), (2015, 2017), 1)
    assert table["composite_year"].tolist() == [2015]


def test_without_a_date_one_year_of_imagery_is_enough():
    table, reason = years_of_plots(dates(None, "2019-01-01"), (2020,), 1)
    assert table["composite_year"].tolist() == [2020, 2020]
    assert table["years_apart"].isna().tolist() == [True, False]
    assert reason.tolist() == ["", ""]
    _, reason = years_of_plots(dates("2018-01-01"), (2020,), 1)
    assert reason[0].startswith("the nearest imagery is of 2020 and the plot of 2018")


def test_a_season_over_the_new_year_is_that_of_its_first_day():
    table, _ = years_of_plots(
        dates("2016-02-29", "2016-03-31", "2016-04-01", "2015-12-01"), (2015, 2016), 0,
        season=("10-01", "03-31"),
    )  # fmt: skip
    assert table["composite_year"].tolist() == [2015, 2015, 2016, 2015]
    plain, _ = years_of_plots(dates("2016-02-29"), (2015, 2016), 0, season=("01-01", "03-31"))
    assert plain["composite_year"].tolist() == [2016]
