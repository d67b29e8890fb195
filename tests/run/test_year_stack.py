"""Windows of a year around the plots: what is said of the items that were read."""

import numpy as np
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.stack import SourceStack
from spatioformer.geo.grid import Grid
from spatioformer.run.sources import YearStack
from tests.archives.test_offsets import DESERT, FIELDS, NEW, OLD, SENTINEL, scene
from tests.archives.test_stack import Lines
from tests.helpers.scenes import CORNER, UTM55, source, write_scene


def test_items_with_a_wrong_offset_are_named_where_chips_are_read(tmp_path):
    """Chips of years that no composite is written of are read nowhere else."""
    here = write_scene(tmp_path, "here", scene(FIELDS, 1000), properties=OLD)
    unknown = write_scene(tmp_path, "unknown", scene(DESERT, 0))
    far = CORNER @ CORNER.translation(100_000, 0)
    there = write_scene(tmp_path, "there", scene(FIELDS, 0), properties=NEW, transform=far)
    of = source([here, unknown, there], SENTINEL, bands=["red"], composite="median")
    console = Lines()
    grid = Grid(CRS.from_user_input(UTM55), CORNER, 128, 128)
    stack = YearStack([], SourceStack((of,), grid), console)
    [(number, values)] = stack.windows([Window(0, 0, 8, 8)], 2021)
    assert number == 0
    assert np.isfinite(values).all()
    assert ["wrong about the offset of 1 of 2 items of 2021 (here)" in line
            for line in console.lines] == [False, True]  # fmt: skip
    assert "of 1 of 2 items of 2021 (unknown) carry the offset" in console.lines[0]
