"""What a tired user gives it: each mistake ends in one sentence, exit code 2, nothing half-written.

Here plots, alone and with imagery. The imagery's mistakes are in test_bad_input_imagery.py, the
configuration's in test_config.py, those of `map` in test_cli_map.py; places that cannot be written
in test_run_disk.py.
"""

import gzip
import shutil
from collections.abc import Callable

import pandas as pd
import pytest
import rasterio

from tests.helpers import landscape
from tests.helpers.landscape import plots
from tests.helpers.tiny_run import assert_refused, refuses, spatioformer, write_config

pytestmark = pytest.mark.integration

N = len(plots())


@pytest.fixture
def project(tmp_path):
    """Imagery, plots and configuration on disk, for a case to spoil."""
    return landscape.write(tmp_path).parent


FIRST = plots().iloc[0]
AT = f"lon '{FIRST['lon']}', lat '{FIRST['lat']}'"
SWAPPED = f"lon '{FIRST['lat']}', lat '{FIRST['lon']}'"
TABLES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "nothing": (lambda t: pd.DataFrame(), "plots.csv is empty; give it a header and rows"),
    "a header": (lambda t: t[:0], "plots.csv has a header but no rows; add plots"),
    "words for counts": (
        lambda t: t.assign(richness="many"),
        "column 'richness' (richness) holds text such as 'many' and no number; set "
        "columns.richness to a column of numbers",
    ),
    "no such column": (
        lambda t: t.rename(columns={"richness": "Species richness"}),
        "column 'richness' (columns.richness) is not in plots.csv; did you mean 'Species "
        "richness'?",
    ),
    "swapped": (
        lambda t: t.rename(columns={"lon": "lat", "lat": "lon"}),
        f"plots.csv loses {N} of {N} rows (100%), all it has, most often to swapped coordinates "
        f"({N}), first on line 2 ({SWAPPED} look swapped); exchange columns.lon and columns.lat",
    ),
    "on (0, 0)": (
        lambda t: t.assign(lon=0, lat=0),
        f"plots.csv loses {N} of {N} rows (100%), all it has, most often to coordinates (0, 0) "
        f"({N}), first on line 2 (lon '0', lat '0' is the point (0, 0), a placeholder); replace "
        "the placeholder coordinates",
    ),
    "metres": (
        lambda t: t.assign(lon=t["lon"] * 1e5, lat=t["lat"] * 1e5),
        f"plots.csv loses {N} of {N} rows (100%), all it has, most often to coordinates out of "
        f"range ({N}), first on line 2 (...); check the coordinates and crs",
    ),
    "too many gaps": (
        lambda t: t.assign(richness=t["richness"].where(t.index >= 40)),
        f"plots.csv loses 40 of {N} rows (27%), more than max_rejected = 0.1 allows, most often to "
        "missing richness (40), first on line 2 (richness is missing); fill in the richness, or "
        "raise max_rejected",
    ),
    "negative": (
        lambda t: t.assign(richness=-1),
        f"plots.csv loses {N} of {N} rows (100%), all it has, most often to negative richness "
        f"({N}), first on line 2 (richness '-1' is negative); correct the counts",
    ),
}


def test_fractions_are_no_counts(tmp_path):
    table = plots().assign(richness=lambda t: t["richness"] + 0.5)
    landscape.write(tmp_path)
    table.to_csv(tmp_path / "plots.csv", index=False)
    refuses(
        tmp_path,
        "plots",
        f"plots.csv loses {N} of {N} rows (100%), all it has, most often to fractional richness "
        f"({N}), first on line 2 (...); choose a column of counts, or set target.kind to "
        "continuous",
        ("target", {"name": "x", "kind": "count"}),
    )


@pytest.mark.parametrize("case", TABLES)
def test_plot_tables(project, case):
    spoil, sentence = TABLES[case]
    spoil(plots()).to_csv(project / "plots.csv", index=False)
    refuses(project, "plots", sentence)
    assert not (project / "run" / "plots.parquet").exists()


def test_a_table_that_loses_too_much_leaves_its_rejected_rows(project):
    plots().assign(lon=0, lat=0).to_csv(project / "plots.csv", index=False)
    spatioformer("plots", write_config(project))
    rejected = pd.read_csv(project / "run" / "rejected.csv")
    assert rejected["source_line"].tolist() == list(range(2, N + 2))
    assert set(rejected["stage"]) == {"plots"}


def test_the_wrong_separator(project):
    plots().to_csv(project / "plots.csv", sep=";", index=False)
    refuses(
        project,
        "plots",
        "plots.csv has a single column 'plot;lon;lat;richness;area' when it is split at commas; "
        "set separator to ';' (semicolon)",
        ("plots.separator", ","),
    )
    for settings in ([], [("plots.separator", ";")]):
        ended = spatioformer("plots", write_config(project, *settings), "--quiet")
        assert ended.code == 0


def test_plot_files_that_are_none(project):
    refuses(project, "plots", f"{project} is a folder; name a file in it", ("plots.path", "."))
    whole = gzip.compress(plots().to_csv(index=False).encode())
    (project / "plots.csv.gz").write_bytes(whole[: len(whole) // 2])
    refuses(
        project,
        "plots",
        "plots.csv.gz is a damaged or incomplete gzip file (...); fetch it again",
        ("plots.path", "plots.csv.gz"),
    )
    (project / "plots.csv").unlink()
    refuses(project, "plots", f"there is no file {project / 'plots.csv'}; check the path")


def test_an_unknown_crs_of_the_plots(project):
    refuses(
        project,
        "plots",
        "crs 'EPSG:999999' is unknown; give one such as 'EPSG:4326'",
        ("plots.crs", "EPSG:999999"),
    )


def test_plots_beside_the_imagery(project):
    plots().assign(lon=plots()["lon"] - 100).to_csv(project / "plots.csv", index=False)
    refuses(
        project,
        "chips",
        f"none of the {N} plots lies in the imagery (first: lon {FIRST['lon'] - 100:g}, lat "
        f"{FIRST['lat']:g}; imagery W, E, S, N = [140.0, 146.4, -26.4, -20.0]); check the "
        "coordinate columns, the plots' `crs` and the imagery's region",
    )


def test_chips_larger_than_the_imagery(project):
    refuses(
        project,
        "chips",
        f"none of the {N} plots in the imagery (64 x 64 pixels) has a whole chip of 65 x 65 pixels "
        "(first: ... of the chip's 4225 pixels hold no data); lower `model.patch`, or give imagery "
        "with fewer gaps",
        ("model.patch", 65),
    )


def test_too_many_plots_without_a_chip(project):
    table = plots()
    table.loc[:29, "lon"] = 140.05  # in the first column of pixels: no neighbour to the west
    table.to_csv(project / "plots.csv", index=False)
    refuses(
        project,
        "chips",
        f"20% of the {N} plot rows cannot be used, more than the 10% that plots.max_rejected "
        "allows (most often: 3 of the chip's 9 pixels hold no data); see "
        f"{project / 'run' / 'rejected.csv'}, then correct the table or raise the limit",
    )


def one_place(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(lon=141.05 + table["lon"] / 1e4, lat=-21.05 + table["lat"] / 1e4)


@pytest.mark.parametrize(
    ("stage", "spoil", "sentence"),
    [
        (
            "evaluate", one_place,
            f"evaluate.splits, tiles: {N} plots make 1 tile(s) of 1 degrees, too few for 2 "
            "folds; use smaller tiles or fewer folds",
        ),
        (
            "evaluate", lambda t: t[:1],
            "evaluate.splits, random: 1 plots make 1 separate site(s), too few for 2 folds; "
            "use fewer folds or more sites",
        ),
    ],
)  # fmt: skip
def test_plots_too_few_or_too_close(project, stage, spoil, sentence):
    spoil(plots()).to_csv(project / "plots.csv", index=False)
    refuses(project, stage, sentence)
    # The splits are checked before any work.
    assert not (project / "run" / ".stages" / "plots.json").exists()


def test_plots_too_few_for_the_curve(project):
    sentence = (
        f"evaluate.curve_sizes, curve-40: {N} plots make 1 tile(s) of 40 degrees, too few for 2 "
        "folds; use smaller tiles or fewer folds"
    )
    refuses(project, "evaluate", sentence, ("evaluate.curve_sizes", [40]))


def test_plots_in_one_validation_tile_get_smaller_tiles(project):
    one_place(plots()).to_csv(project / "plots.csv", index=False)
    ended = spatioformer("train", write_config(project))
    assert ended.code == 0, ended.err
    assert "all plots lie in one validation tile of 0.5 degrees; tiles of 0.00195" in ended.err


def test_a_truth_that_is_not_there(project):
    refuses(
        project,
        "map",
        f"{project / 't.tif'}, given by `truth`, cannot be read (...); correct the path, or "
        "remove `truth` for plots of real plants",
        ("truth", {"path": "t.tif", "noise_path": "t.tif"}),
    )


def test_a_missing_file_is_noticed_however_late(project):
    """A run that was finished, and its input taken away: the sentence, not yesterday's result."""
    config = write_config(project)
    assert spatioformer("imagery", config, "--quiet").code == 0
    with rasterio.open(project / "run" / "imagery.tif") as stack:
        assert stack.count == 3
    shutil.move(project / "image.tif", project / "gone.tif")
    assert_refused(
        spatioformer("imagery", config, "--quiet"),
        f"layer image: {project / 'image.tif'} does not exist; correct its `path`",
    )
