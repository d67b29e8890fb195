"""A served folder, and one STAC API for searches: a few Landsat scenes, one at the antimeridian."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.catalogues import BANDS, scene, stac_api
from tests.helpers.servers import FileServer

HERE = (10.0, 40.0, 11.0, 41.0)
ITEMS = [
    scene("LC08_L2SP_190031_20200301_20200310_02_T1", "2020-03-01", HERE),
    scene("LC08_L2SP_190031_20200301_20210310_02_T1", "2020-03-01", HERE, cloud=20),
    scene("LC08_L2SP_190031_20200402_20200411_02_T1", "2020-04-02", HERE, cloud=90),
    scene("LC08_L2SP_190031_20201231_20210111_02_T1", "2020-12-31", HERE, cloud=None),
    scene("LC08_L2SP_190031_20210101_20210111_02_T1", "2021-01-01", HERE),
    scene("LC08_L2SP_190031_20230601_20230611_02_T1", "2023-06-01", HERE),
    scene("LC08_L2SP_150031_20200301_20200310_02_T1", "2020-03-01", (30, 40, 31, 41)),
    scene("LC08_L2SP_074072_20200301_20200310_02_T1", "2020-03-01", (179, -18, -179.5, -17)),
    scene("LC08_L2SP_073072_20200301_20200310_02_T1", "2020-03-01", (-179.5, -18, -178, -17)),
    scene("LC05_L2SP_190031_20190301_20190310_02_T1", "2019-03-01", HERE, bands=BANDS),
    scene("LC08_L2SP_190031_20190302_20190310_02_T1", "2019-03-02", HERE),
    scene("other", "2020-03-01", HERE, collection="landsat-c2-l1"),
]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[FileServer]:
    """An empty folder that is served on loopback."""
    folder = tmp_path / "served"
    folder.mkdir()
    with FileServer(folder) as server:
        yield server


@pytest.fixture(scope="session")
def items():
    """The items of `api`."""
    return ITEMS


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    """Address of the API."""
    with stac_api(ITEMS, tmp_path_factory.mktemp("api")) as url:
        yield url
