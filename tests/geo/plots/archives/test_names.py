"""Names as taxa, and the rules by which they count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatioformer.geo.plots.archives.names import KINDS, parse_name, rank_kind
from spatioformer.geo.plots.archives.richness import RULES, count_names
from spatioformer.geo.plots.archives.survey import Name, Records

NAMES = {
    "Poa annua L.": ("poa annua", "species"),
    "POA ANNUA": ("poa annua", "species"),
    "poa annua": ("poa annua", "species"),
    "Poa\u00a0annua ": ("poa annua", "species"),
    "Poa annua subsp. varia (L.) Gaudin": ("poa annua", "infraspecific"),
    "Carex flacca Schreb. var. flacca": ("carex flacca", "infraspecific"),
    "Quercus robur x petraea": ("quercus petraea × quercus robur", "hybrid"),
    "Salix alba × S. fragilis": ("salix alba × salix fragilis", "hybrid"),
    "Quercus ×rosacea Bechst.": ("quercus rosacea ×", "hybrid"),
    "× Festulolium loliaceum": ("festulolium loliaceum ×", "hybrid"),
    "Poa annua/trivialis": ("poa annua", "species"),
    "Poa sp.": ("poa", "genus"),
    "Poa L.": ("poa", "genus"),
    "Poa": ("poa", "genus"),
    "Poa sp. 1": ("poa sp. 1", "morphospecies"),
    "Poa sp1": ("poa sp1", "morphospecies"),
    "Acacia sp. Mt Isa (A.B. Smith 12)": ("acacia sp. mt isa (a.b. smith 12)", "morphospecies"),
    "Poaceae": ("poaceae", "above genus"),
    "Gramineae": ("gramineae", "above genus"),
    "Carex cf. nigra": ("carex nigra", "species"),
    "Carex nigra?": ("carex nigra", "species"),
    "Rubus fruticosus agg.": ("rubus fruticosus", "species"),
    "Taraxacum sect. Ruderalia": ("taraxacum sect. ruderalia", "species"),
    "Acacia.aneura": ("acacia aneura", "species"),
    "Acacia_aneura": ("acacia aneura", "species"),
    "Capsella bursa-pastoris": ("capsella bursa-pastoris", "species"),
    "ACRU": ("acru", "other"),
    "12345": ("12345", "other"),
    "Dead Tree/Shrub": ("dead tree/shrub", "unnamed"),
    "Unknown forb": ("unknown forb", "unnamed"),
}


@pytest.mark.parametrize(("text", "expected"), NAMES.items(), ids=NAMES)
def test_forms_of_names(text, expected):
    taxon = parse_name(text)
    assert (taxon.key, taxon.kind) == expected


def test_parents_of_a_hybrid_come_in_any_order():
    one, other = parse_name("Salix alba x fragilis"), parse_name("Salix fragilis × Salix alba")
    assert one.key == other.key


def test_the_stated_rank_decides():
    assert parse_name("Poa", "GENUS").kind == "genus"
    assert parse_name("Asteraceae", "FAMILY").kind == "above genus"
    assert parse_name("Plantae", "KINGDOM").kind == "above genus"
    assert parse_name("Poa annua", "SPECIES").kind == "species"
    assert rank_kind("blurb") is None
    assert rank_kind("UNRANKED") == ""


@given(st.text(max_size=40), st.sampled_from(["", "GENUS", "SPECIES", "FAMILY", "x"]))
def test_any_text_is_a_taxon(text, rank):
    taxon = parse_name(text, rank)
    assert taxon.kind in KINDS
    assert taxon.full.startswith(taxon.key) or taxon.kind == "infraspecific"
    assert parse_name(text.upper() if text.isascii() else text, rank).kind in KINDS


def counted(names: list[str], rule: str, accepted: dict[str, str] | None = None) -> int:
    records = Records()
    codes = [records.code(Name(n, (accepted or {}).get(n, ""))) for n in names]
    records.add([0] * len(codes), codes)
    return int(count_names(records, rule).richness(1)[0])


LIST = [
    *("Poa annua L.", "poa annua", "Poa annua subsp. varia", "Poa sp.", "Poa sp. 1"),
    *("Salix alba x fragilis", "Salix alba", "Carex sp.", "Asteraceae", "Unknown forb"),
]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Poa annua, Poa sp. 1, the hybrid, Salix alba, Carex
        ("species", 5),
        # Poa annua, Salix alba
        ("strict", 2),
        # and Poa annua varia, Poa, Asteraceae
        ("written", 8),
    ],
)
def test_rules_of_counting(rule, expected):
    assert counted(LIST, rule) == expected


def test_synonyms_and_spellings_count_once():
    accepted = {"Aira praecox": "Avena praecox"}
    assert counted(["Aira praecox", "Avena praecox", "avena  Praecox"], "species", accepted) == 1


@given(st.lists(st.sampled_from(LIST), max_size=12))
def test_rules_are_ordered_and_repeats_do_not_count(names):
    strict, species, written = (counted(names, rule) for rule in ("strict", "species", "written"))
    assert strict <= species <= written
    assert counted(names + names, "species") == species
    assert set(RULES) == {"strict", "species", "written"}


def test_records_keep_distinct_pairs_in_pieces():
    records = Records()
    records._LARGEST = 3  # so that parts are joined on the way
    codes = [records.code(Name(n)) for n in ("Poa annua", "Carex nigra", "Poa annua")]
    assert codes == [0, 1, 0]
    for _ in range(5):
        records.add([2, 1, 1], [0, 1, 1])
    visits, names = records.pairs()
    assert (visits.tolist(), names.tolist()) == ([1, 2], [1, 0])


def test_capitalised_epithets_are_species_where_the_list_is_so_written():
    titled = ["Poa Annua", "Poa Trivialis L.", "Carex Nigra", "Carex Sp.", "Bellis Perennis"]
    assert counted(titled, "species") == 4
    assert notes_of(titled) == [
        "4 names have a capitalised second word, such as 'Poa Annua', and count as species"
    ]
    mixed = ["Poa Linnaeus", "Carex nigra", "Bellis perennis", "Salix alba"]
    assert counted(mixed, "species") == 4
    assert counted([*mixed, "Poa annua"], "species") == 4
    assert (
        "1 names were read as a genus and its author, such as 'Poa Linnaeus'" in notes_of(mixed)[0]
    )


def test_a_stated_rank_says_that_a_capitalised_word_is_an_epithet():
    records = Records()
    names = [Name("Poa Annua", "", "SPECIES"), Name("Poa alpina"), Name("Poa", "", "GENUS")]
    records.add([0, 0, 0], [records.code(name) for name in names])
    assert count_names(records, "species").richness(1)[0] == 2


def notes_of(names: list[str]) -> list[str]:
    records = Records()
    records.add([0] * len(names), [records.code(Name(n)) for n in names])
    return [note for note in count_names(records, "species").notes if "names were read" in note
            or "capitalised" in note]  # fmt: skip
