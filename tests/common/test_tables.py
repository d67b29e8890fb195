"""CSV cells that a spreadsheet would run, and their way back."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatioformer.common.tables import harmless, restored, restored_table, write_csv

FORMULAS = [
    '=HYPERLINK("http://x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "-",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text):
    assert harmless(text) == f"'{text}"
    assert restored(harmless(text)) == text


@pytest.mark.parametrize(
    "text", ["-35.2", "+1", "-1,5", "-1e-5", "1.000", "", "Acacia", "a=b", "'n"]
)
def test_numbers_and_words_stay(text):
    assert harmless(text) == text
    assert restored(text) == text


@given(st.text(alphabet="'=+-@\t\r\n 1.ae"))
def test_every_text_comes_back(text):
    assert restored(harmless(text)) == text
    assert not harmless(text).startswith(("=", "@", "\t", "\r", "\n"))


@given(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.booleans()))
def test_what_is_no_text_stays(value):
    assert harmless(value) is value


def test_a_table_goes_out_harmless_and_comes_back(tmp_path):
    table = pd.DataFrame(
        {"=name": ["=1+1", "'=2", "park", ""], "lon": ["-35.2", "-1", "", "x"], "n": [-1, -2, 3, 4]}
    )
    before = table.copy()
    write_csv(table, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == (
        "'=name,lon,n\n'=1+1,-35.2,-1\n''=2,-1,-2\npark,,3\n,x,4\n"
    )
    read = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(restored_table(read), before.astype(str), check_dtype=False)
    pd.testing.assert_frame_equal(table, before)


def test_a_table_without_formulas_is_written_as_pandas_writes_it(tmp_path):
    table = pd.DataFrame(
        {"a": ["x", None, "-3"], "b": [1.25, float("nan"), -3.0], "c": pd.to_datetime(["2001"] * 3)}
    )
    write_csv(table, tmp_path / "a.csv", float_format="%.6g")
    text = io.StringIO()
    table.to_csv(text, index=False, float_format="%.6g")
    assert (tmp_path / "a.csv").read_text() == text.getvalue()
