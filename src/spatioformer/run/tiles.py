"""The sizes of tiles that the evaluation chose, in a file for the report."""

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from spatioformer.common.files import write_json
from spatioformer.run.context import RunContext

if TYPE_CHECKING:
    from spatioformer.evaluation.sizes import Tile
    from spatioformer.geo.chips import ChipStore

TILES = "tiles.json"
"""File of the folder `evaluation`; absent if the configuration states all sizes."""


def decide_tiles(run: RunContext, store: "ChipStore") -> dict[str, "Tile"]:
    """Choose the tiles of splits without a size, say why, and write evaluation/tiles.json.

    Returns:
        Name of the split -> its tiles.
    """
    from spatioformer.models.resolved import choose_tiles

    path, choices = run.folder / "evaluation" / TILES, choose_tiles(run.config, store)
    with suppress(FileNotFoundError, NotADirectoryError):  # what is in the way is said on writing
        path.unlink()
    if choices:
        write_json(path, {n: {**asdict(c.tile), "why": str(c)} for n, c in choices.items()})
    for name, choice in choices.items():
        run.console.say(f"  {name}: tiles of {choice}")
    return {name: choice.tile for name, choice in choices.items()}
