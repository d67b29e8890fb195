"""Archives that are broken, hostile or no plots: one sentence each, and nothing is read."""

import contextlib
import random
import zipfile
from pathlib import Path

import pytest

from spatioformer.common import zip_files
from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives import pieces, store
from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots
from tests.geo.plots.archives.test_darwin_core import LISTS, core, notes, richness
from tests.helpers.darwin_core import DWC, File, archive, events, lists, meta


def refusal(path: Path, **options) -> str:
    with pytest.raises(PlotError) as error:
        import_plots(path, ImportOptions(**options))
    text = str(error.value)
    assert "\n" not in text
    assert not text.endswith(".")
    return text


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return path


# --- the container --------------------------------------------------------------------------------


def test_what_is_no_archive(tmp_path):
    assert refusal(tmp_path / "no.zip") == (
        f"there is no file or folder {tmp_path / 'no.zip'}; check the path"
    )
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing else")
    assert refusal(tmp_path / "a.zip").startswith("a.zip is not a readable zip archive (")
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty") == (
        "empty holds no file; name the archive as it was downloaded"
    )
    assert "the format of b.zip is not known: it holds 'notes.md'" in refusal(
        zipped(tmp_path / "b.zip", **{"notes.md": b"hello"})
    )


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/passwd", "a/../../b.txt", "C:\\x.txt"])
def test_names_that_lead_outside(tmp_path, name):
    path = archive(tmp_path / "a.zip", core(), lists(LISTS))
    with zipfile.ZipFile(path, "a") as written:
        written.writestr(name, "x")
    assert "leads outside the archive" in refusal(path)


def test_a_location_outside_the_archive(tmp_path):
    text = meta(core(), lists(LISTS)).replace("event.txt", "../../../etc/passwd")
    path = archive(tmp_path / "a.zip", core(), lists(LISTS), meta__xml=text)
    assert refusal(path) == (
        "meta.xml of a.zip names the file '../../../etc/passwd', which lies outside the archive; a "
        "data file must be inside it"
    )
    text = meta(core(), lists(LISTS)).replace("event.txt", "http://example.org/event.txt")
    path = archive(tmp_path / "b.zip", core(), lists(LISTS), meta__xml=text)
    assert "which lies outside the archive" in refusal(path)


def test_a_link_out_of_a_folder_is_no_file_of_it(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "meta.xml").write_text(meta(core(), lists(LISTS)))
    (tmp_path / "secret.txt").write_text("x")
    (folder / "event.txt").symlink_to(tmp_path / "secret.txt")
    assert "which the archive does not hold" in refusal(folder)


def test_a_zip_bomb(tmp_path):
    path = archive(tmp_path / "a.zip", core(), lists(LISTS))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as written:
        with written.open("bomb.txt", "w") as stream:
            for _ in range(120):
                stream.write(bytes(1 << 20))
    assert "unpacks to 1," in refusal(path)


def test_an_archive_of_too_many_bytes_or_files(tmp_path, monkeypatch):
    path = archive(tmp_path / "a.zip", core(), lists(LISTS))
    monkeypatch.setattr(zip_files, "LARGEST", 500)
    assert "more than is read" in refusal(path)
    monkeypatch.undo()
    monkeypatch.setattr(zip_files, "MOST_FILES", 2)
    assert "more than is read" in refusal(path)
    monkeypatch.undo()
    monkeypatch.setattr(store, "LARGEST_TEXT", 10)
    assert refusal(path).startswith("meta.xml of a.zip has 0 MB, more than such a file may have")


def test_a_line_without_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "LONGEST_LINE", 5000)
    path = archive(tmp_path / "a.zip", core(), lists({"a": ["Poa " + "x" * 3_000_000]}))
    assert "has a line of more than 5,000 bytes, so it is no table" in refusal(path)


def test_a_damaged_member(tmp_path):
    path = archive(tmp_path / "a.zip", core(), lists(LISTS))
    content = bytearray(path.read_bytes())
    at = content.index(b"occurrence.txt") + 30
    content[at : at + 20] = b"\xff" * 20
    path.write_bytes(content)
    assert "occurrence.txt of a.zip is damaged (" in refusal(path)


def test_a_file_twice_and_a_password(tmp_path):
    path = archive(tmp_path / "a.zip", core(), lists(LISTS))
    with pytest.warns(UserWarning, match=r"Duplicate name"), zipfile.ZipFile(path, "a") as written:
        written.writestr("event.txt", "x")
    assert refusal(path) == "the file 'event.txt' of a.zip is there twice; keep one of the two"
    path = archive(tmp_path / "b.zip", core(), lists(LISTS))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    path.write_bytes(content)
    assert "has a password" in refusal(path)


# --- meta.xml -------------------------------------------------------------------------------------

BROKEN_META = {
    "an external entity": (
        lambda t: t.replace("<archive", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n'
                            "<archive", 1),
        "meta.xml of a.zip defines a document type or entities, which no archive needs",
    ),
    "no xml": (lambda t: t[:200], "meta.xml of a.zip is no valid XML"),
    "another root": (
        lambda t: t.replace("archive", "catalogue"), "begins with <catalogue>, not <archive>",
    ),
    "no core": (lambda t: t.replace("core ", "extension ").replace("core>", "extension>"),
                "has 0 cores where an archive has one"),
    "no file": (lambda t: t.replace("event.txt", ""),
                "the core in meta.xml of a.zip names no file"),
    "an absent file": (lambda t: t.replace("event.txt", "events.txt"),
                       "names the file 'events.txt', which the archive does not hold"),
    "no index": (lambda t: t.replace("index='1'", "index='one'", 1), "is no position from 0"),
    "an index too far": (lambda t: t.replace("index='9'", "index='99'", 1),
                         "has 10 columns, but column 100 is asked for"),
    "two separators": (lambda t: t.replace("'\\t'", "'||'", 1), "fields end with '||'"),
    "an unknown encoding": (lambda t: t.replace("UTF-8", "EBCDIC-7", 1),
                            "the text is 'EBCDIC-7', which is no known encoding"),
    "an encoding of no text": (lambda t: t.replace("UTF-8", "base64", 1), "no known encoding"),
    "a wrong encoding": (lambda t: t.replace("UTF-8", "US-ASCII"),
                         "event.txt of a.zip is not US-ASCII, as it should be"),
    "a term twice": (
        lambda t: t.replace(f"{DWC}eventDate", f"{DWC}eventID", 1),
        "describes the term 'eventID' twice",
    ),
    "another row type": (lambda t: t.replace(f"{DWC}Event'", f"{DWC}Taxon'"),
                         "a.zip is a checklist of taxa, which has no plots"),
    "no occurrences": (lambda t: t.replace(f"{DWC}Occurrence'", f"{DWC}Identification'"),
                       "an event core with 0 occurrence extensions"),
    "header lines": (lambda t: t.replace("ignoreHeaderLines='1'", "ignoreHeaderLines='-1'", 1),
                     "ignoreHeaderLines '-1' in meta.xml of a.zip is no position"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), BROKEN_META.values(), ids=BROKEN_META)
def test_a_broken_description(tmp_path, change, sentence):
    text = change(meta(core(), lists(LISTS)))
    path = archive(tmp_path / "a.zip", core(), lists(LISTS), meta__xml=text)
    assert sentence in refusal(path)


def test_entities_hidden_in_utf_16(tmp_path):
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY x "y">]><archive/>'
    path = zipped(tmp_path / "a.zip", **{"meta.xml": text.encode("utf-16")})
    assert "defines a document type or entities" in refusal(path)


# --- rows -----------------------------------------------------------------------------------------


def test_rows_with_other_numbers_of_fields(tmp_path):
    broken = lists(LISTS)
    broken.rows = [row if i != 2 else row[:-1] for i, row in enumerate(broken.rows)]
    path = archive(tmp_path / "a.zip", core(), broken)
    assert refusal(path) == (
        "line 4 of occurrence.txt of a.zip has 4 fields where the others have 5, so a species may "
        "be lost; correct the row"
    )


def test_stray_quotation_marks(tmp_path):
    kept = lists(LISTS, separator=",", quote='"')
    texts = kept.texts()
    swallowed = texts[0].replace('"Bellis perennis",""', '"Bellis perennis,"', 1)
    path = archive(tmp_path / "a.zip", core(), kept, occurrence__txt=swallowed)
    assert "line 4 of occurrence.txt of a.zip has 4 fields where the others have 5" in refusal(path)
    unclosed = texts[0].replace('"Bellis perennis"', '"Bellis "perennis"', 1)
    path = archive(tmp_path / "c.zip", core(), kept, occurrence__txt=unclosed)
    assert "occurrence.txt of c.zip has a misplaced quotation mark near line 4" in refusal(path)
    joined = texts[0].replace('"",', '"', 1).replace('"","', '""', 1)
    path = archive(tmp_path / "b.zip", core(), kept, occurrence__txt=joined)
    assert "quotation mark" in refusal(path)


def test_quotation_marks_that_join_rows(tmp_path):
    """Two rows whose marks make one row with the right number of fields."""
    kept = File("occurrence", ("id", "scientificName", "taxonRank"), [], separator=",", quote='"')
    rows = 'a,Poa annua,"x\na,Carex nigra,y"\nb,Poa annua,z\n'
    path = archive(tmp_path / "a.zip", core(), kept, occurrence__txt="id,n,r\n" + rows)
    assert "quotation marks join lines of occurrence.txt of a.zip" in refusal(path)


def test_ids_that_are_missing_or_repeated(tmp_path):
    plain = core()
    rows = [list(row) for row in plain.rows]
    path = archive(tmp_path / "a.zip", File("event", plain.columns, [*rows, rows[0]]), lists(LISTS))
    assert "1 rows repeat an event and are left out" in notes(import_plots(path))
    other = [*rows[0][:3], "1999", *rows[0][4:]]
    path = archive(tmp_path / "b.zip", File("event", plain.columns, [*rows, other]), lists(LISTS))
    assert refusal(path) == (
        "eventID 'a' is on lines 2 and 5 of event.txt of b.zip with different content; give each "
        "event an id of its own"
    )
    blank = ["", "", *rows[0][2:]]
    path = archive(tmp_path / "c.zip", File("event", plain.columns, [*rows, blank]), lists(LISTS))
    assert "1 events have no id and are left out" in notes(import_plots(path))
    path = archive(
        tmp_path / "d.zip", core(), lists(LISTS | {"": ["Poa annua"], "zz": ["Poa annua"]})
    )
    assert "2 of 9 occurrences name no event and do not count" in notes(import_plots(path))
    path = archive(tmp_path / "e.zip", core(), lists({"zz": ["Poa annua"]}))
    assert "none of the 1 occurrences of e.zip belongs to one of its 3 events" in refusal(path)
    path = archive(tmp_path / "f.zip", File("event", plain.columns, [blank]), lists(LISTS))
    assert "event.txt of f.zip holds no event with an id" in refusal(path)


def test_records_repeated_are_counted_once(tmp_path):
    doubled = lists(LISTS)
    doubled.rows = [*doubled.rows, *doubled.rows]
    assert richness(import_plots(archive(tmp_path / "a.zip", core(), doubled))) == {
        "a": 3,
        "b": 2,
        "c": 1,
    }


def test_an_occurrence_core_without_any_grouping(tmp_path):
    rows = [["1", "Poa annua"], ["2", "Carex nigra"]]
    path = archive(tmp_path / "a.zip", File("occurrence", ("id", "scientificName"), rows))
    assert "occurrence.txt of a.zip has neither eventID nor coordinates" in refusal(path)
    columns = ("id", "eventID", "decimalLatitude", "decimalLongitude", "scientificName")
    rows = [["1", "", "", "", "Poa annua"], ["2", "", 1.5, "", "Poa annua"]]
    path = archive(tmp_path / "b.zip", File("occurrence", columns, rows))
    assert "2 of 2 records of occurrence.txt of b.zip have neither an eventID nor" in refusal(path)
    path = archive(tmp_path / "c.zip", File("occurrence", columns, []))
    assert "occurrence.txt of c.zip holds no record" in refusal(path)


def test_coordinates_missing_in_most_rows(tmp_path):
    bare = events(
        ("a", "", "2015", 47.1, 8.2, 1, "m2", "", ""),
        ("b", "", "2015", "", "", 1, "m2", "", ""),
        ("c", "", "2015", "", 8.2, 1, "m2", "", ""),
    )
    path = archive(tmp_path / "a.zip", bare, lists(LISTS))
    assert "2 of 3 plots of a.zip have no coordinates" in refusal(path)


def test_ranges_of_dates(tmp_path):
    ranges = ("2015-05-28/2015-06-02", "2015/2018", "2015-06-01/02")
    rows = [
        (n, "", date, 47 + i / 7, 8 + i / 9, 1, "m2", "", "")
        for i, (n, date) in enumerate(zip(LISTS, ranges, strict=True))
    ]
    intake = import_plots(archive(tmp_path / "a.zip", events(*rows), lists(LISTS)))
    days = intake.table["date"].dt.strftime("%Y-%m-%d").fillna("").tolist()
    assert days == ["2015-05-28", "", "2015-06-01"]
    assert "2 visits have a range of dates" in notes(intake)
    assert "1 visits have a range of more than a year, such as '2015/2018'" in notes(intake)


def test_an_unknown_rank_is_named(tmp_path):
    ranked = lists(LISTS)
    ranked.rows = [[*row[:3], "blurb", row[4]] for row in ranked.rows]
    intake = import_plots(archive(tmp_path / "a.zip", core(), ranked))
    assert "have a taxonRank that is not known, such as 'blurb'; their form decided" in notes(
        intake
    )


def test_no_licence_is_named(tmp_path):
    path = archive(tmp_path / "a.zip", core(), lists(LISTS), eml__xml="<eml><dataset/></eml>")
    from spatioformer.geo.plots.archives.show import licence_sentences

    facts = import_plots(path).summary["imported"]
    assert licence_sentences(facts) == [
        "the licence of 3 plots is not stated; ask their publisher before you share results"
    ]


@pytest.mark.parametrize("seed", range(60))
def test_mutations_raise_a_sentence_or_give_plots(tmp_path, seed):
    """Bytes of an archive's files are changed, cut and doubled; only PlotErrors come through."""
    draw = random.Random(seed)
    path = archive(tmp_path / "a.zip", core(separator=",", quote='"'), lists(LISTS))
    with zipfile.ZipFile(path) as held:
        files = {name: bytearray(held.read(name)) for name in held.namelist()}
    for _ in range(draw.randint(1, 4)):
        content = files[draw.choice(list(files))]
        at = draw.randrange(len(content))
        match draw.randrange(4):
            case 0:
                content[at] = draw.randrange(256)
            case 1:
                del content[at : at + draw.randint(1, 40)]
            case 2:
                content[at:at] = content[at : at + draw.randint(1, 60)]
            case 3:
                content[at:at] = draw.choice(
                    [b'"', b"\n", b"\0", b"\xff", b"<", b"&x;", b"/", b","]
                )
    path = zipped(tmp_path / "b.zip", **{name: bytes(c) for name, c in files.items()})
    with contextlib.suppress(PlotError):
        intake = import_plots(path, ImportOptions(max_rejected=1.0))
        assert (intake.table["richness"] >= 0).all()
