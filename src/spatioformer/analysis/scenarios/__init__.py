"""Scenarios: how a map changes with rasters of another time or climate.

`change.py` compares two maps of one model, pixel by pixel; `regions.py` sums the comparison up by
polygon; `units.py` looks for bands that are in another unit than at the training plots.
"""

from spatioformer.analysis.scenarios.change import BANDS, Maps, write_change
from spatioformer.analysis.scenarios.regions import region_table
from spatioformer.analysis.scenarios.units import check_units

__all__ = ["BANDS", "Maps", "check_units", "region_table", "write_change"]
