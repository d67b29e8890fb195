"""Archives of plots by link, by GBIF's key and by DOI, from a server on loopback."""

import json
from pathlib import Path

import geopandas
import pytest

import spatioformer as sf
from spatioformer.archives import plot_archives
from spatioformer.archives.plot_archives import plot_archive
from spatioformer.archives.remote import NotCached, RemoteError, retries
from spatioformer.common.errors import PlotError
from tests.geo.plots.archives.test_darwin_core import LISTS, RICHNESS, core
from tests.geo.plots.archives.test_occurrences import GBIF
from tests.helpers import servers
from tests.helpers.darwin_core import archive, gbif_simple, lists
from tests.helpers.servers import FileServer
from tests.helpers.tiny_run import assert_refused, spatioformer

KEY = "0012345-240101000000000"
DOI = "10.15468/dl.abc123"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.001)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server with a.zip, and one download as GBIF's interface has it."""
    folder = tmp_path / "served"
    (folder / "occurrence/download/request").mkdir(parents=True)
    archive(folder / "a.zip", core(), lists(LISTS))
    rows = [GBIF | {"scientificName": name} for name in ("Poa annua", "Carex nigra")]
    gbif_simple(folder / f"occurrence/download/request/{KEY}.zip", rows)
    state(folder)
    with FileServer(folder) as server:
        monkeypatch.setattr(plot_archives, "GBIF", server.url)
        yield server


def state(folder: Path, **changes) -> None:
    answer = {
        "key": KEY,
        "doi": DOI,
        "license": "http://creativecommons.org/licenses/by-nc/4.0/legalcode",
        "status": "SUCCEEDED",
        "created": "2024-01-05T10:11:12.000+00:00",
    }
    downloads = folder / "occurrence/download"
    (downloads / "10.15468").mkdir(exist_ok=True)
    for path in (downloads / KEY, downloads / DOI):
        path.write_text(json.dumps(answer | changes))


def refusal(source: str, kind: type[Exception] = PlotError, **options) -> str:
    with pytest.raises(kind) as caught:
        plot_archive(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_link(served):
    found = plot_archive(f"{served.url}/a.zip")
    assert found.address == f"{served.url}/a.zip"
    assert found.doi is found.licence is found.citation is None
    assert found.path.read_bytes() == (served.folder / "a.zip").read_bytes()
    assert plot_archive(f"{served.url}/a.zip", offline=True) == found
    assert "is not in the cache" in refusal(f"{served.url}/b.zip", NotCached, offline=True)


def test_a_link_without_the_name_of_a_file(served):
    (served.folder / "files").mkdir()
    (served.folder / "files" / "17").write_bytes((served.folder / "a.zip").read_bytes())
    assert plot_archive(f"{served.url}/files/17?download=1").path.name == "17.zip"


@pytest.mark.parametrize(
    "source",
    [
        f"gbif:{KEY}",
        f"GBIF:{KEY}",
        f"https://www.gbif.org/occurrence/download/{KEY}",
        f"https://api.gbif.org/v1/occurrence/download/request/{KEY}.zip",
        f"gbif:{DOI}",
        DOI,
        f"doi:{DOI}",
        f"https://doi.org/{DOI.upper()}",
    ],
)
def test_a_gbif_download(served, source):
    if DOI.upper() in source:
        (served.folder / "occurrence/download" / DOI).rename(
            served.folder / "occurrence/download/10.15468" / "DL.ABC123"
        )
    found = plot_archive(source)
    assert found.path.name == f"{KEY}.zip"
    assert (found.doi, found.licence) == (DOI, "CC-BY-NC-4.0")
    assert found.citation == (
        f"GBIF.org (5 January 2024) GBIF Occurrence Download https://doi.org/{DOI}"
    )
    assert [sent.path.rpartition("/")[2] for sent in served.sent][1:] == [f"{KEY}.zip"]
    assert plot_archive(source, offline=True) == found


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("10.5281/zenodo.123456", "10.5281/zenodo.123456 is no download of GBIF; give its key"),
        ("https://doi.org/10.15468/39omei", "is no download of GBIF"),
        ("gbif:12", "gbif:12 is no download of GBIF"),
        ("gbif:0000000-240101000000000", "GBIF knows no download 0000000-240101000000000"),
    ],
)
def test_what_is_no_gbif_download(served, source, part):
    assert part in refusal(source)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"status": "RUNNING"}, "has no file: its state is RUNNING; wait until GBIF has made it"),
        ({"status": "FILE_ERASED"}, "GBIF has removed the file; request it anew"),
        ({"status": "KILLED"}, "request it anew on gbif.org"),
        ({"status": None}, "its state is not stated"),
        ({"key": "../../x"}, "names no key"),
    ],
)
def test_downloads_without_a_file(served, changes, part):
    state(served.folder, **changes)
    assert part in refusal(f"gbif:{KEY}")
    assert len(served.sent) == 1


def test_an_answer_that_is_no_json(served):
    (served.folder / "occurrence/download" / KEY).write_text("<html>")
    assert "cannot be read; run again later" in refusal(f"gbif:{KEY}", RemoteError)


def test_plots_import_fetches(served, tmp_path):
    out = tmp_path / "p.parquet"
    url = f"{served.url}/a.zip"
    served.plan = servers.first(2, servers.truncated())
    ended = spatioformer("plots", "import", url, "-o", out)
    assert ended.code == 0, ended.err
    assert "Imported from a.zip" in ended.out
    table = geopandas.read_parquet(out)
    assert dict(zip(table["plot_id"], table["richness"], strict=True)) == RICHNESS
    assert table.attrs["imported"]["source"] == url
    other = tmp_path / "o.parquet"
    served.plan = servers.always(servers.status(404))
    assert spatioformer("plots", "import", url, "-o", other, "--offline", "-q").code == 0
    assert out.read_bytes() == other.read_bytes()
    wrong = f"md5:{'0' * 32}"
    ended = spatioformer("plots", "import", url, "-o", out, "--force", "--checksum", wrong)
    assert_refused(ended, f"plots: {url} does not exist (404); check the address")
    served.plan = None
    ended = spatioformer("plots", "import", url, "-o", out, "--force", "--checksum", wrong)
    assert ended.code == 2
    assert f"not {wrong} as stated" in ended.err
    local = served.folder / "a.zip"
    ended = spatioformer("plots", "import", local, "-o", out, "--force", "--checksum", wrong)
    assert_refused(ended, f"plots: {local} does not have the checksum {wrong}; check the file")


def test_a_gbif_download_is_cited(served, tmp_path):
    out = tmp_path / "p.parquet"
    ended = spatioformer("plots", "import", f"gbif:{KEY}", "-o", out, "--accept-incomplete")
    assert ended.code == 0, ended.err
    reference = geopandas.read_parquet(out).attrs["imported"]["reference"]
    assert reference["doi"] == DOI
    assert reference["licence"] == "CC-BY-NC-4.0"
    assert reference["citation"].startswith("GBIF.org (5 January 2024)")
    plots = sf.read_plots(f"gbif:{KEY}", accept_incomplete=True, offline=True)
    assert plots["richness"].tolist() == [2]
    assert plots.attrs["imported"]["reference"] == reference


def test_a_plain_table_by_link(served):
    (served.folder / "p.csv").write_text("lon,lat,richness\n1,2,3\n")
    assert sf.read_plots(f"{served.url}/p.csv")["richness"].tolist() == [3]
