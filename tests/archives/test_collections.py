"""The table of collections: known facts, rows of a user, and sentences about wrong ones."""

from urllib.parse import urlsplit

import pytest
import spyndex

from spatioformer.archives.collections import chosen_bands, collection_of
from spatioformer.archives.remote.signing import SIGNERS
from spatioformer.archives.rows import built_in
from spatioformer.common.errors import ConfigError
from tests.helpers.catalogues import source


def source_of(name: str):
    """A source with years, unless the collection has none, and a folder if it needs one."""
    row = built_in()[name]
    folder = {"endpoint": "downloads"} if row.files and row.files.download else {}
    return source(name, years=None if row.kind == "static" else (2020,), **folder)


def known(name: str):
    return collection_of(source_of(name))


@pytest.mark.parametrize("name", built_in())
def test_every_row_is_whole(name):
    collection = known(name)
    own = collection.files is not None and collection.files.download
    if not own:
        assert urlsplit(collection.endpoint).scheme == "https"
        assert urlsplit(collection.endpoint).hostname in collection.hosts
    assert all(urlsplit(to).hostname in collection.hosts for to in collection.addresses.values())
    assert collection.source.startswith("https://")
    assert bool(collection.verified) == bool(own)
    assert collection.signing is None or collection.signing in SIGNERS
    assert collection.licence or "licence" in collection.note
    names = [part.name for part in collection.parts]
    assert len(set(names)) == len(names)
    assert chosen_bands(source_of(name), collection)
    if collection.kind == "scenes":
        assert collection.masks, "clouds must be left out"


@pytest.mark.parametrize("name", built_in())
def test_bands_are_those_of_the_spectral_indices(name):
    for band in known(name).bands:
        if band.spyndex is not None:
            held = spyndex.bands[band.spyndex]
            assert held.min_wavelength - 20 <= band.wavelength <= held.max_wavelength + 20, band


def test_landsat_numbers():
    landsat = known("landsat-c2-l2")
    bands = {band.name: band for band in landsat.bands}
    # Raw 43636 is reflectance 1, and 7273 is 0: the valid range that the USGS states.
    assert 43636 * bands["red"].scale + bands["red"].offset == pytest.approx(1, abs=1e-4)
    assert 7273 * bands["red"].scale + bands["red"].offset == pytest.approx(0, abs=1e-4)
    assert 44177 * bands["thermal"].scale + bands["thermal"].offset == pytest.approx(300, abs=0.01)
    masks = {mask.name: mask for mask in landsat.masks}
    assert masks["qa_pixel"].classes["shadow"] == 4
    # OLI counts from coastal (band 1), TM from blue.
    assert masks["saturation_oli"].classes["red"] == 3
    assert masks["saturation_tm"].classes["red"] == 2
    assert masks["saturation_oli"].applies({"platform": "LANDSAT_8"})
    assert not masks["saturation_oli"].applies({"platform": "landsat-5"})
    assert masks["qa_pixel"].applies({})


def test_bands_that_some_satellites_lack_are_read_only_when_they_are_named():
    landsat = known("landsat-c2-l2")
    by_default = [band.name for band in chosen_bands(source(), landsat)]
    assert by_default == ["blue", "green", "red", "nir", "swir1", "swir2"]
    named = chosen_bands(source(bands=("thermal", "red")), landsat)
    assert [band.name for band in named] == ["thermal", "red"]
    with pytest.raises(ConfigError, match="landsat-c2-l2 has no band nirr; did you mean nir"):
        chosen_bands(source(bands=("nirr",)), landsat)


def test_counted_bands():
    bands = known("alphaearth").bands
    assert [band.name for band in bands[:2]] == ["A00", "A01"]
    assert (bands[63].name, bands[63].number, bands[63].nodata) == ("A63", 64, -128)
    assert known("tessera").bands[127].name == "T127"


def test_rows_alike_differ_where_they_say():
    here, there = known("sentinel-2-l2a"), known("sentinel-2-l2a-planetary-computer")
    assert here.bands == there.bands
    assert (here.signing, there.signing) == (None, "planetary-computer")
    assert there.addresses == {}
    old = {band.name: band.keys for band in known("gm_ls5_ls7_annual").bands}
    assert old["red"] == ("SR_B3",)
    assert old["smad"] == ("SMAD", "smad")


def test_a_source_gives_its_own_catalogue():
    own = collection_of(
        source(endpoint="https://stac.example.org", id="mine", kind="stac-static", hosts=("a.org",))
    )
    assert (own.endpoint, own.id, own.catalogue) == (
        "https://stac.example.org",
        "mine",
        "stac-static",
    )
    assert own.verified, "an address of the user's choice needs no warning"
    assert own.hosts[-1] == "a.org"


def test_unknown_collection():
    with pytest.raises(ConfigError) as error:
        collection_of(source("ga_ls8c_gm_cyear"))
    assert str(error.value) == (
        "source ls: the collection 'ga_ls8c_gm_cyear' is not known; did you mean "
        "ga_ls8cls9c_gm_cyear_3 or ga_ls7e_gm_cyear_3 or ga_ls5t_gm_cyear_3? Rows of your own "
        "belong in a file that `imagery.collections` names"
    )


MINE = """
mine:
  like: landsat-c2-l2
  title: My scenes
  catalogue: folder
  endpoint: scenes
  bands: {red: {keys: [B3]}}
own:
  title: T
  kind: annual
  catalogue: folder
  endpoint: x
  id: x
  resolution: 30
  values: {scale: 0.5}
  bands: {one: {keys: [one]}, two: {keys: [two], scale: 2}}
"""


def test_rows_of_a_user(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    mine = collection_of(source("mine"), path)
    assert (mine.title, mine.catalogue, len(mine.masks)) == ("My scenes", "folder", 3)
    assert {band.name: band.keys for band in mine.bands}["red"] == ("B3",)
    assert [band.scale for band in collection_of(source("own"), [str(path)]).bands] == [0.5, 2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: {like: landsat-c2-l2, titel: x}", "collection a: unknown key `titel`; did you mean"),
        ("a: {like: nothing}", "`like` is 'nothing', which is no row that stands by itself"),
        ("a: {title: x}", "collection a:\n  `kind` is missing"),
        ("- a", "has no rows; write the name of each collection"),
        ("a: [", "is not valid YAML at line 1"),
        ("a: {like: landsat-c2-l2, bands: {red: {keys: []}}}", "it needs at least one entry"),
        (
            "a: {like: sentinel-2-l2a, masks: {scl: {keys: [scl], kind: classes, classes: {x: 1}, "
            "spoils: [cloud]}}}",
            "`spoils` names 'cloud', which is not one of the `classes`: x",
        ),
    ],
)
def test_wrong_rows(tmp_path, text, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        collection_of(source("a"), path)
    assert sentence in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_of_rows_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="does not exist; give the path of a YAML file with"):
        collection_of(source(), tmp_path / "no.yaml")
