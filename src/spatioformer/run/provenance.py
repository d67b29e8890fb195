"""provenance.json of a run folder: versions, seed, inputs, and the time of each stage."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from spatioformer.common.files import read_json, write_json
from spatioformer.common.version import __version__
from spatioformer.run.records import Record
from spatioformer.run.source_stages import LEFT_OUT

LIBRARIES = ("numpy", "pandas", "geopandas", "rasterio", "scikit-learn", "torch", "scipy")
"""Libraries whose full versions are stated."""


def write_provenance(
    folder: Path, seed: int, inputs: Mapping[str, str | None], records: Mapping[str, Record]
) -> None:
    """Write provenance.json into a run folder.

    Args:
        inputs: path of each input file -> SHA-256 of its content.
        records: of the finished stages, by name.

    Raises:
        OutputError: the file cannot be written.
    """
    left_out = folder / LEFT_OUT
    write_json(
        folder / "provenance.json",
        {
            "spatioformer": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "libraries": {name: version(name) for name in LIBRARIES},
            "seed": seed,
            "inputs_sha256": dict(inputs),
            "stages": {
                n: {"seconds": r.seconds, "fingerprint": r.fingerprint} for n, r in records.items()
            },
        }
        | ({"left_out_of_chips": read_json(left_out)} if left_out.is_file() else {}),
    )
