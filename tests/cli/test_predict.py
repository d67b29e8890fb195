"""The command `predict`: what it refuses before a model is loaded, in the words of its options."""

import pandas as pd
import pytest

from spatioformer.cli.predict import in_options
from tests.helpers.tiny_run import assert_refused, spatioformer


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("set columns.lon to a column of numbers", "give --lon a column of numbers"),
        ("a; set columns.lat (no column)", "a; give --lat (no column)"),
        ("set crs to one such as EPSG:32717 (x)", "give --crs, such as EPSG:32717 (x)"),
        ("set decimal to '.' or ','", "give --decimal '.' or ','"),
        ("set date_order to day-first", "give --date-order day-first"),
        ("offset columns.longest to", "offset columns.longest to"),
    ],
)
def test_remedies_name_the_options(message, said):
    assert in_options(message) == said


@pytest.fixture
def files(tmp_path):
    table = tmp_path / "places.csv"
    pd.DataFrame({"lon": [1.0], "lat": [2.0]}).to_csv(table, index=False)
    return tmp_path, table


def test_mistakes_are_found_before_a_model_is_needed(files):
    folder, table = files
    out = folder / "out.csv"
    text = spatioformer("predict", folder, table, "-o", folder / "out.txt")
    assert_refused(text, f"{folder}/out.txt is no .csv file; give -o a name that ends in .csv")
    itself = spatioformer("predict", folder, table, "-o", table, "--force")
    assert_refused(itself, f"cannot write {table}: it is the table itself; name another file")
    one = spatioformer("predict", folder, table, "-o", out, "--samples", 1)
    assert_refused(one, "--samples 1 has no spread; give 0 for none, or at least 2")
    out.write_text("kept")
    again = spatioformer("predict", folder, table, "-o", out)
    assert_refused(again, f"{out} exists; give --force to replace it, or name another file")
    assert out.read_text() == "kept"
