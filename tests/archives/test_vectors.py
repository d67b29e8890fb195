"""Embeddings in a stack of sources."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.embeddings.source import EmbeddingSource
from spatioformer.archives.remote import Access
from spatioformer.archives.source import Source
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.write import write_year
from spatioformer.config.archives import SourceSection
from spatioformer.geo.grid import Grid
from tests.archives.embeddings.imitations import (
    ALPHAEARTH,
    alphaearth_file,
    alphaearth_item,
    unit_vectors,
)

WEST, NORTH, SHAPE = 600_000.0, 6_100_000.0, (48, 32)
GRID = Grid(CRS.from_epsg(32755), Affine(20, 0, WEST, 0, -20, NORTH), 24, 16)
ALL = Window(0, 0, 16, 24)


@pytest.fixture
def item(tmp_path):
    alphaearth_file(tmp_path / "tile.tiff", unit_vectors(SHAPE, 1), 32755, WEST, NORTH)
    return alphaearth_item(str(tmp_path / "tile.tiff"), SHAPE, 32755, WEST, NORTH)


def stack(item, **section) -> SourceStack:
    year = item.start.year
    values = {"name": "ae", "collection": "alphaearth", "years": (year,)} | section
    access = Access(hosts=(), cache=Path("unused"))
    source = Source(SourceSection.model_validate(values), ALPHAEARTH, access, {year: (item,)})
    return SourceStack((source,), GRID)


def test_a_stack_gives_the_vectors_of_the_collection(item, tmp_path):
    of = stack(item)
    (year,) = of.years
    values = of.read(ALL, year)
    expected = EmbeddingSource(ALPHAEARTH, [item], GRID, Access((), Path("unused"))).read(ALL)
    np.testing.assert_array_equal(values, expected)
    assert of.bands[0] == f"ae_{ALPHAEARTH.bands[0].name}"
    assert len(of.bands) == 64
    np.testing.assert_allclose(np.linalg.norm(values, axis=0), 1, atol=1e-6)
    facts = write_year(of, year, tmp_path / "out.tif", workers=2)
    assert facts["items"] == {"ae": 1}


def test_some_bands_are_those_of_the_whole_vector(item):
    chosen = [ALPHAEARTH.bands[i].name for i in (3, 60)]
    of, some = stack(item), stack(item, bands=chosen)
    (year,) = of.years
    np.testing.assert_array_equal(some.read(ALL, year), of.read(ALL, year)[[3, 60]])


def test_a_stack_is_sent_to_other_processes(item, tmp_path):
    of = stack(item)
    (year,) = of.years
    write_year(of, year, tmp_path / "a.tif", scheduler="processes", workers=1)
    write_year(of, year, tmp_path / "b.tif", workers=1)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_year_without_tiles_holds_no_data(item):
    of = stack(item)
    empty = replace(of.sources[0], items={2020: ()})
    assert np.isnan(SourceStack((empty,), GRID).read(ALL, 2020)).all()
