"""Small plot files for the tests of plot intake."""

from pathlib import Path

ALL = {
    "plot_id": "plot",
    "lon": "lon",
    "lat": "lat",
    "richness": "n",
    "area_m2": "area",
    "date": "day",
    "programme": "by",
}
"""Column mapping of GOOD."""

PLACES = {"lon": "lon", "lat": "lat", "richness": "n"}

GOOD = """plot,lon,lat,n,area,day,by
A,141.5,-31.5,12,400,2014-05-03,TERN
B,142.25,-32.0,0,,1990,
C,141.5,-31.5,7,1e4,,TERN
"""


def put(
    folder: Path, content: str | bytes, name: str = "plots.csv", encoding: str = "utf-8"
) -> Path:
    """Write a file and give its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path
