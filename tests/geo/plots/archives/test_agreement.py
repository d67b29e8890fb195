"""Archives whose meta.xml does not describe their files rightly."""

import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.importing import import_plots
from tests.geo.plots.archives.test_darwin_core import LISTS, RICHNESS, core, notes, richness
from tests.geo.plots.archives.test_occurrences import COLUMNS, record
from tests.helpers.darwin_core import DWC, File, archive, lists, meta


def test_utf_8_under_the_name_of_another_encoding(tmp_path):
    """The sign × of hybrids would be two letters, and the hybrids names of a genus."""
    names = ("Salix × rubens", "Salix × sepulcralis", "Salix alba")
    records = File("occurrence", COLUMNS, [record("1", name) for name in names])
    text = meta(records).replace("encoding='UTF-8'", "encoding='ISO-8859-1'")
    intake = import_plots(archive(tmp_path / "a.zip", records, meta__xml=text))
    assert richness(intake) == {"1": 3}
    assert "occurrence.txt is UTF-8 and was read so, though 'ISO-8859-1'" in notes(intake)


def test_plain_letters_keep_the_encoding_that_is_stated(tmp_path):
    text = meta(core(), lists(LISTS)).replace("encoding='UTF-8'", "encoding='windows-1252'")
    files = core(encoding="windows-1252"), lists(LISTS)
    intake = import_plots(archive(tmp_path / "a.zip", *files, meta__xml=text))
    assert richness(intake) == RICHNESS
    assert intake.table["protocol"].tolist() == ["relevé"] * 3
    assert "is UTF-8" not in notes(intake)


def test_positions_that_the_header_contradicts(tmp_path):
    text = meta(core(), lists(LISTS))
    lat, lon = f"{DWC}decimalLatitude", f"{DWC}decimalLongitude"
    turned = text.replace(lat, "x").replace(lon, lat).replace("'x'", f"'{lon}'")
    path = archive(tmp_path / "a.zip", core(), lists(LISTS), meta__xml=turned)
    with pytest.raises(PlotError, match=r"decimalL\w+ is column 5 of event.txt, but the header"):
        import_plots(path)


def test_names_of_columns_may_be_others(tmp_path):
    """A header in other words, and one with vocabularies, contradict nothing."""
    for header in ("a\tb\tc\td\te\tf\tg\th\ti\tj", "\t".join(f"dwc:{c}" for c in core().columns)):
        body = core(header=False).texts()[0]
        path = archive(tmp_path / "a.zip", core(), lists(LISTS), event__txt=f"{header}\n{body}")
        assert richness(import_plots(path)) == RICHNESS


def test_a_first_record_is_no_header(tmp_path):
    bare = core(header=False)
    text = meta(bare, lists(LISTS)).replace("ignoreHeaderLines='0'", "ignoreHeaderLines='1'")
    path = archive(tmp_path / "a.zip", bare, lists(LISTS), meta__xml=text)
    with pytest.raises(PlotError, match=r"it holds the decimalLatitude '47.123456'; set ignoreHe"):
        import_plots(path)


def test_what_is_not_read_is_said(tmp_path):
    records = File("occurrence", COLUMNS[:-1], [record("1", "Poa annua")[:-1]])
    measured = File("measurement", ("id", "measurementType"), [["1-Poa annua", "plot area"]])
    intake = import_plots(archive(tmp_path / "a.zip", records, measured))
    assert "measurement.txt describes single records and is not read" in notes(intake)
    assert "the records state no kingdom, so all names count as those of plants" in notes(intake)


def test_row_types_may_begin_with_https(tmp_path):
    """Otherwise the areas and the completeness of an archive would be lost without a word."""
    bare = core()
    bare.rows = [[*row[:6], "", "", *row[8:]] for row in bare.rows]
    measured = File(
        "measurement",
        ("id", "measurementType", "measurementValue", "measurementUnit"),
        [["a", "plot area", 25, "m2"]],
    )
    stated = File("humboldt", ("id", "isTaxonomicScopeFullyReported"), [["a", "true"]])
    files = bare, lists(LISTS), measured, stated
    text = meta(*files).replace("rowType='http://", "rowType='https://")
    table = import_plots(archive(tmp_path / "a.zip", *files, meta__xml=text)).table
    assert table["area_m2"].dropna().tolist() == [25]
    assert table["list_complete"].tolist() == ["yes", "not stated", "not stated"]
