"""Plot tables of any shape: read, or refused in a sentence; no row of the file is lost."""

import csv
import io

import numpy as np
import pytest

from spatioformer.geo.plots.table import read_plots
from tests.fuzz.harness import damaged, fuzz, pick

pytestmark = pytest.mark.slow

NAMES = [
    *("lon", "lat", "richness", "area_m2", "date", "plot_id", "programme", "species", "x"),
    *("", " lon", "LON", "Länge", "richness"),
]
NUMBERS = [
    *("0", "1", "-1", "12", "146.5", "-35.25", "1e3", "1,5", "1.000", "648.100", "1.000,5", "+3"),
    *("1e400", "nan", "NA", "inf", "-", "--1", "0x10", "1_000", "٣", "1 000", "1'000", "½", "²"),
    *("ınf", "İnf", "9" * 40_000 + "x", "1." * 20_000, "1" + ",111" * 9_000, "5.234.100"),
    *("9" * 40, "1e-320", "181", "-91", "360", "500000", "6100000"),
]
WORDS = [
    *("", " ", "a", "Acacia", "Ä\u0308", "é", "e\u0301", "\u00a0", "=1+1", "@x", "'", '"', '""'),
    *("a,b", "a;b", "a\tb", "null", "2001-02-03", "31/12/2001", "2001-13-45", "20010203", "1999"),
    *("\ufeff", "x" * 500, "present", "absent", "yes", "no", "1", "0", "\u2028"),
]
SEPARATORS = [",", ",", ",", ";", "\t", "|", " ", "tab", "\\t", ",,", "", "\n", '"']
CODES = ["utf-8", "utf-8-sig", "cp1252", "utf-16", "latin-1"]
CRSS = ["EPSG:4326", "EPSG:4326", "EPSG:4326", "EPSG:3577", "EPSG:32755", "EPSG:5773", "x", ""]
CRSS += ["IAU_2015:30100", "+proj=airy", 'LOCAL_CS["x",UNIT["Meter",1]]']


def table(rng: np.random.Generator) -> bytes:
    """The bytes of a table that is more or less one."""
    names = ["lon", "lat", "richness", *(pick(rng, NAMES) for _ in range(int(rng.integers(4))))]
    if rng.random() < 0.2:
        names = [pick(rng, NAMES) for _ in range(int(rng.integers(1, 6)))]
    rows = []
    for row in range(int(rng.integers(12))):
        cells = []
        for name in names:
            usual = {"lon": 140 + row / 7, "lat": -20 - row / 9, "richness": row}.get(name, "w")
            pool = NUMBERS if rng.random() < 0.5 else WORDS
            cells.append(str(usual) if rng.random() < 0.9 else pick(rng, pool))
        if rng.random() < 0.05:
            cells = cells[: int(rng.integers(len(cells) + 1))] + ["x"] * int(rng.integers(3))
        rows.append(cells)
    text = io.StringIO()
    mark = pick(rng, [",", ",", ",", ";", "\t", "|"])
    quoting = pick(rng, [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    end = pick(rng, ["\n", "\r\n", "\r"])
    writer = csv.writer(text, delimiter=mark, quoting=quoting, lineterminator=end)
    writer.writerow(names)
    writer.writerows(rows)
    content = text.getvalue().encode(pick(rng, CODES), errors="replace")
    return damaged(rng, content) if rng.random() < 0.4 else content


def test_tables(tmp_path):
    def case(rng: np.random.Generator) -> None:
        path = (
            tmp_path / f"t.{pick(rng, ['csv', 'csv', 'tsv', 'txt', 'csv.gz', 'parquet', 'gpkg'])}"
        )
        path.write_bytes(table(rng))
        columns = {"lon": "lon", "lat": "lat", "richness": "richness"}
        for name in ("area_m2", "date", "plot_id", "programme"):
            if rng.random() < 0.3:
                columns[name] = pick(rng, NAMES)
        species = None
        if rng.random() < 0.3:
            del columns["richness"]
            species = {"layout": pick(rng, ["matrix", "long"])}
            for key in ("plot_id", "species", "abundance"):
                if rng.random() < 0.6:
                    species[key] = pick(rng, NAMES)
            if rng.random() < 0.3:
                species["ignore"] = (pick(rng, NAMES),)
        intake = read_plots(
            path,
            columns=columns,
            crs=pick(rng, CRSS),
            separator=pick(rng, SEPARATORS) if rng.random() < 0.3 else None,
            species=species,
            region=pick(rng, [None, None, (140, 150, -40, -10)]),
            max_rejected=pick(rng, [0.1, 0.5, 1.0]),
        )
        summary = intake.summary
        assert summary["read"] == summary["kept"] + summary["rejected"]
        assert summary["kept"] == len(intake.table)
        assert np.isfinite(intake.table[["lon", "lat", "richness"]]).all(axis=None)
        assert intake.table["plot_id"].is_unique

    assert fuzz(case, full=10_000) > 50
