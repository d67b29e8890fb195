"""Processor time and memory of `plots import` on large archives, made to the standards.

    python -m benchmarks.plots_import [ROWS [ARCHIVE]]

Three archives of ROWS occurrences (default 1,000,000): Darwin Core archives with an event core and
with an occurrence core, whose events have 20 species each; and a GBIF simple CSV of single records,
two each place and day, so that it has ROWS / 2 plots. ARCHIVE, such as "simple CSV", is one of
them alone.
Each archive is made, and imported, in a process of its own: a new process inherits the peak of the
memory of the one that starts it.
"""

import multiprocessing
import random
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.helpers.darwin_core import File, archive, events, gbif_simple, lists

SPECIES = [f"Genus{g} species{s}" for g in range(100) for s in range(30)]


def event_core(path: Path, rows: int) -> Path:
    """An archive of events with 20 species each."""
    draw = random.Random(0)
    count = rows // 20
    core = events(
        *(
            (f"e{i}", "", f"20{i % 20:02d}-06-01", f"{draw.uniform(40, 60):.6f}",
             f"{draw.uniform(0, 30):.6f}", 10 ** (i % 4), "m2", "relevé", 10)
            for i in range(count)
        )
    )  # fmt: skip
    return archive(path, core, lists({f"e{i}": draw.sample(SPECIES, 20) for i in range(count)}))


def occurrence_core(path: Path, rows: int) -> Path:
    """An archive of occurrences with 20 records each event, as GBIF writes them."""
    draw = random.Random(0)
    columns = ("id", "datasetKey", "eventID", "samplingProtocol", "eventDate", "decimalLatitude",
               "decimalLongitude", "scientificName", "acceptedScientificName", "taxonRank",
               "kingdom", "license", "occurrenceStatus", "", "")  # fmt: skip

    def of_event(i: int) -> list[list[object]]:
        place = (f"{draw.uniform(40, 60):.6f}", f"{draw.uniform(0, 30):.6f}")
        return [
            [20 * i + n, f"key{i % 40}", f"e{i}", "relevé", f"20{i % 20:02d}-06-01", *place,
             f"{name} L.", f"{name} L.", "SPECIES", "Plantae", "CC_BY_4_0", "PRESENT", "x" * 40,
             "y"]
            for n, name in enumerate(draw.sample(SPECIES, 20))
        ]  # fmt: skip

    cells = (row for i in range(rows // 20) for row in of_event(i))
    return archive(path, File("occurrence", columns, cells))


def simple_csv(path: Path, rows: int) -> Path:
    """A GBIF simple CSV of single records."""
    draw = random.Random(0)
    places = [
        (f"{draw.uniform(40, 60):.6f}", f"{draw.uniform(0, 30):.6f}") for _ in range(-(-rows // 2))
    ]

    def row(i: int) -> dict[str, object]:
        name = draw.choice(SPECIES)
        return {
            "gbifID": i, "datasetKey": f"key{i // 2 % 40}", "occurrenceID": f"urn:{i}",
            "kingdom": "Plantae", "species": name, "genus": name.split()[0],
            "taxonRank": "SPECIES", "scientificName": f"{name} L.", "occurrenceStatus": "PRESENT",
            "decimalLatitude": places[i // 2][0],
            "decimalLongitude": places[i // 2][1], "eventDate": "2015-06-01",
            "basisOfRecord": "HUMAN_OBSERVATION", "license": "CC_BY_4_0",
            "locality": "somewhere " * 3, "lastInterpreted": "2024-01-01T00:00:00.000Z",
        }  # fmt: skip

    return gbif_simple(path, map(row, range(rows)))


def measure(path: str, accept: bool) -> tuple[int, float, float, float]:
    """Import an archive: plots, processor seconds, and memory before and at the peak, MB."""
    from spatioformer.geo.plots.archives.importing import ImportOptions, import_plots

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    intake = import_plots(path, ImportOptions(accept_incomplete=accept))
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return len(intake.table), seconds, before / 1024, peak / 1024


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    chosen = sys.argv[2] if len(sys.argv) > 2 else ""
    spawned = multiprocessing.get_context("spawn")
    archives = (
        ("event core", event_core, False),
        ("occurrence core", occurrence_core, False),
        ("simple CSV", simple_csv, True),
    )
    print(f"{'archive':24} {'MB':>6} {'plots':>9} {'CPU s':>7} {'MB before':>10} {'MB peak':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for name, make, accept in archives:
            if chosen not in ("", name):
                continue
            path = Path(folder) / f"{name.replace(' ', '_')}.zip"
            with ProcessPoolExecutor(1, mp_context=spawned) as pool:
                pool.submit(make, path, rows).result()
            with ProcessPoolExecutor(1, mp_context=spawned) as pool:
                plots, seconds, before, peak = pool.submit(measure, str(path), accept).result()
            size = path.stat().st_size / 1e6
            row = f"{name:24} {size:6.0f} {plots:9,} {seconds:7.1f} {before:10.0f} {peak:8.0f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
