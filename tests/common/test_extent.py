"""The extent of plots, also across 180 degrees."""

import numpy as np
import pytest

from spatioformer.common.earth import arc_of


@pytest.mark.parametrize(
    ("lon", "ends"),
    [
        ([10.0, 30.0, 20.0], (10, 30)),
        ([179.0, -179.0, 178.0], (178, -179)),
        ([-60.0, 100.0, 179.0], (100, -60)),  # the gap from -60 to 100 is the largest
        ([5.0], (5, 5)),
    ],
)
def test_the_shortest_arc_holds_all_longitudes(lon, ends):
    assert arc_of(np.array(lon)) == ends
