"""Workbooks: typed cells as in the sheet, and what cannot be read rightly is refused."""

import datetime
import zipfile

import openpyxl
import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import sheets
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.table import read_plots
from tests.helpers.plot_tables import PLACES

ROWS = [
    ["plot", "lon", "lat", "n", "day", "wet"],
    ["A", 141.5, -31.5, 12, datetime.datetime(2014, 5, 3), True],
    ["B", 142.25, -32, 7.0, datetime.date(1990, 1, 1), False],
]
COLUMNS = PLACES | {"plot_id": "plot", "date": "day"}


def book(folder, rows=ROWS, corner="A1", title="plots", name="plots.xlsx", change=None):
    """Write a workbook of one sheet, its first cell at `corner`; `change` edits it."""
    work = openpyxl.Workbook()
    sheet = work.active
    sheet.title = title
    first = sheet[corner]
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            sheet.cell(first.row + i, first.column + j, value)
    if change:
        change(sheet)
    work.save(folder / name)
    return folder / name


def refusal(path, **options) -> str:
    with pytest.raises(PlotError) as caught:
        read_plots(path, columns=COLUMNS, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("corner", "first"), [("A1", 2), ("C4", 5)])
def test_typed_cells(tmp_path, corner, first):
    intake = read_plots(book(tmp_path, corner=corner), columns=COLUMNS, covariates={"wet": "class"})
    table = intake.table
    assert table["plot_id"].tolist() == ["A", "B"]
    assert table[["lon", "lat", "richness"]].to_numpy().tolist() == [
        [141.5, -31.5, 12],
        [142.25, -32, 7],
    ]
    assert table["date"].astype(str).tolist() == ["2014-05-03", "1990-01-01"]
    assert table["wet"].tolist() == ["TRUE", "FALSE"]
    assert table["source_line"].tolist() == [first, first + 1]
    assert intake.summary["notes"] == []


def test_cells_as_text(tmp_path):
    source = open_source(book(tmp_path))
    assert source.header == ROWS[0]
    assert source.sheet == "plots"
    assert [row.cells for row in source.rows(range(6))] == [
        ["A", "141.5", "-31.5", "12", "2014-05-03", "TRUE"],
        ["B", "142.25", "-32", "7", "1990-01-01", "FALSE"],
    ]
    assert [source.has_numbers(i) for i in range(6)] == [False, True, True, True, False, False]


def test_numbers_as_text_follow_the_rules_of_text(tmp_path):
    rows = [ROWS[0], ["A", "141,5", "-31,5", "12", "03.05.2014", "x"], ["B", 142, -32, 7, "", "x"]]
    rows.append(["C", "142,5", "-32,5", 7, "13.05.2014", "x"])
    intake = read_plots(book(tmp_path, rows), columns=COLUMNS)
    assert intake.table["lon"].tolist() == [141.5, 142, 142.5]
    assert intake.table["date"].dropna().astype(str).tolist() == ["2014-05-03", "2014-05-13"]
    assert "decimal comma found in lon, lat" in intake.summary["notes"]


def test_sheets_are_named_or_the_only_one(tmp_path):
    def add(sheet):
        sheet.parent.create_sheet("blank")
        hidden = sheet.parent.create_sheet("lists")
        hidden["A1"], hidden.sheet_state = "x", "hidden"

    path = book(tmp_path, change=add)
    intake = read_plots(path, columns=COLUMNS)
    assert len(intake.table) == 2
    assert intake.summary["notes"] == ["hidden sheets of plots.xlsx are not read: 'lists'"]

    def two(sheet):
        sheet.parent.create_sheet("notes")["B2"] = "a note"

    path = book(tmp_path, change=two)
    assert refusal(path) == (
        "plots.xlsx has 2 sheets with cells; set layer to one of 'plots', 'notes'"
    )
    assert len(read_plots(path, columns=COLUMNS, layer="plots").table) == 2
    assert refusal(path, layer="plot") == (
        "plots.xlsx has no sheet 'plot'; set layer to one of 'plots', 'notes'"
    )


def test_rows_above_the_header(tmp_path):
    rows = [["Survey of 2014"], [], *ROWS]
    assert refusal(book(tmp_path, rows)) == (
        "row 1 of sheet 'plots' of plots.xlsx is read as the header and has no name in column B, "
        "C, D, E, F, which row 3 fills; delete rows above the header, split merged cells, and name "
        "every column"
    )


@pytest.mark.parametrize("cells", ["B1:C1", "A2:A3"])
def test_merged_cells(tmp_path, cells):
    path = book(tmp_path, change=lambda sheet: sheet.merge_cells(cells))
    message = refusal(path)
    if cells == "A2:A3":
        assert message == (
            "cells A2:A3 of sheet 'plots' of plots.xlsx are merged, so only the first of them has "
            "a value; split them and fill in each"
        )
    else:
        assert "has no name in column C, which row 2 fills" in message


def test_formulas_without_a_value(tmp_path):
    path = book(tmp_path, change=lambda sheet: sheet.__setitem__("D3", "=3+4"))
    assert refusal(path) == (
        "the formula in cell D3 of sheet 'plots' of plots.xlsx has no stored value; open the file "
        "in a spreadsheet program and save it"
    )


def rewrite(path, part: str, old: bytes, new: bytes):
    """Replace bytes in one part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old in parts[part]
    parts[part] = parts[part].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def test_stored_values_of_formulas(tmp_path):
    path = book(tmp_path, change=lambda sheet: sheet.__setitem__("D3", "=3+4"))
    rewrite(path, SHEET, b"<f>3+4</f><v />", b"<f>3+4</f><v>7</v>")
    assert read_plots(path, columns=COLUMNS).table["richness"].tolist() == [12, 7]


def test_entities_are_refused(tmp_path):
    path = book(tmp_path)
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><worksheet '
    rewrite(path, SHEET, b"<worksheet ", bomb)
    assert refusal(path) == (
        "plots.xlsx defines entities in xl/worksheets/sheet1.xml, which no workbook needs; save it "
        "again in a spreadsheet program"
    )


def test_a_workbook_that_unpacks_to_too_much(tmp_path, monkeypatch):
    path = book(tmp_path)
    rewrite(path, SHEET, b"<sheetData>", b"<!--" + b" " * 3_000_000 + b"--><sheetData>")
    assert path.stat().st_size < 30_000
    assert len(read_plots(path, columns=COLUMNS).table) == 2
    monkeypatch.setattr(sheets, "_LARGEST", 2_000_000)
    assert refusal(path) == (
        "plots.xlsx unpacks to 3 MB, more than a workbook may have; save its sheet as CSV"
    )


def test_a_sheet_with_far_cells(tmp_path, monkeypatch):
    path = book(tmp_path, change=lambda sheet: sheet.__setitem__("XFD900", "x"))
    assert "has no name in column XFD, which row 900 fills" in refusal(path)
    monkeypatch.setattr(sheets, "_MOST_CELLS", 10_000)
    assert "sheet 'plots' of plots.xlsx has more than 10,000 cells" in refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0" + bytes(600), "plots.xlsx has a password or is an old .xls file"),
        (b"", "plots.xlsx is not a readable workbook (File is not a zip file); save it again"),
        (b"lon,lat\n1,2\n", "plots.xlsx is not a readable workbook (File is not a zip file)"),
    ],
)
def test_files_that_are_no_workbooks(tmp_path, content, message):
    (tmp_path / "plots.xlsx").write_bytes(content)
    assert refusal(tmp_path / "plots.xlsx").startswith(message)


def test_damaged_workbooks(tmp_path):
    path = book(tmp_path)
    whole = path.read_bytes()
    for size in (len(whole) // 3, len(whole) - 30):
        path.write_bytes(whole[:size])
        assert "save it again" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    assert refusal(path) == "plots.xlsx is a zip archive, not a workbook; unpack it"
    rewrite(book(tmp_path), SHEET, b"</row>", b"</raw>")
    assert "save it again" in refusal(path)
