"""Files in the forms of the archives of terrain, climate, soil and land cover, small and made up.

Each function writes below a folder what the archive has below the endpoint of its row. Values are a
function of longitude and latitude, or of the place in the CRS, so that any pixel is known.
"""

import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS
from scipy.io import netcdf_file

from spatioformer.archives.collections import collection_of
from spatioformer.archives.predictors.reader import PredictorReader
from spatioformer.archives.remote import Access
from spatioformer.archives.search import look_up
from spatioformer.archives.source import Source
from spatioformer.config.archives import STATIC, SourceSection
from spatioformer.geo.grid import Grid

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Values at x and y."""

HOMOLOSINE = "+proj=igh +lon_0=0 +datum=WGS84 +units=m +no_defs"


def write(
    path: Path, values: np.ndarray, transform: Affine, crs: str = "EPSG:4326", **profile: Any
) -> Path:
    """Write (y, x) or (band, y, x) as a tiled GeoTIFF; `scales` and `offsets` as tags."""
    values = values if values.ndim == 3 else values[None]
    tags = {key: profile.pop(key) for key in ("scales", "offsets") if key in profile}
    count, height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, crs=crs,
        transform=transform, dtype=values.dtype, tiled=True, blockxsize=64, blockysize=64,
        compress="deflate", **profile,
    ) as target:  # fmt: skip
        target.write(values)
        for key, several in tags.items():
            setattr(target, key, several)
    return path


def centres(transform: Affine, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y (y, x) of pixel centres."""
    cols, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return transform @ (cols, rows)


def elevation_tiles(
    folder: Path, corners: Iterable[tuple[int, int]], field: Field, per_degree: int = 120
) -> None:
    """Tiles of GLO-30 with `per_degree` rows, named by (lat, lon) of their corner, and their list.

    Pixels are counted from their centres, and are wider from 50 degrees on.
    """
    names = []
    for lat, lon in corners:
        name = (
            f"Copernicus_DSM_COG_10_{'N' if lat >= 0 else 'S'}{abs(lat):02d}_00_"
            f"{'E' if lon >= 0 else 'W'}{abs(lon):03d}_00_DEM"
        )
        from_equator = lat if lat >= 0 else -lat - 1
        wider = next(w for end, w in ((50, 1), (60, 1.5), (70, 2), (80, 3)) if from_equator < end)
        width, step = int(per_degree / wider), 1 / per_degree
        across = 1 / width
        transform = Affine(
            across, 0, lon - across / 2, 0, -step, lat + 1 + step / 2
        )  # centres on whole degrees
        values = field(*centres(transform, per_degree, width)).astype(np.float32)
        write(folder / name / f"{name}.tif", values, transform)
        names.append(name)
    (folder / "tileList.txt").write_text("\n".join(names) + "\n")


def climate_zip(folder: Path, field: Field, pixel: str = "10m", size: int = 36) -> None:
    """The 19 bioclimatic variables of WorldClim: number n is n x field."""
    step = 360 / (2 * size)
    transform = Affine(step, 0, -180, 0, -step, 90)
    base = field(*centres(transform, size, 2 * size))
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"wc2.1_{pixel}_bio.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(1, 20):
            name = f"wc2.1_{pixel}_bio_{number}.tif"
            values = np.where(np.isnan(base), -3.4e38, number * base).astype(np.float32)
            path = write(folder / "members" / name, values, transform, nodata=-3.4e38)
            archive.write(path, name)


def climate_tile(path: Path, field: Field, west: float, north: float, pixels: int = 60) -> None:
    """A tile of 30 degrees with 19 bands: band n is n x field."""
    transform = Affine(30 / pixels, 0, west, 0, -30 / pixels, north)
    base = field(*centres(transform, pixels, pixels))
    values = np.stack([number * base for number in range(1, 20)]).astype(np.float32)
    write(path, values, transform, nodata=float("nan"))


def chelsa(
    folder: Path,
    numbers: Iterable[int],
    field: Field,
    *,
    tags: bool = True,
    size: int = 36,
    path: str = "1981-2010/bio/CHELSA_bio{}_1981-2010_V.2.1.tif",
) -> None:
    """Variables of CHELSA as uint16 with a scale of 0.1, temperatures from -273.15."""
    step = 360 / (2 * size)
    transform = Affine(step, 0, -180, 0, -step, 90)
    values = field(*centres(transform, size, 2 * size))
    for number in numbers:
        offset = -273.15 if number in (1, 5, 6, 8, 9, 10, 11) else 0.0
        raw = np.round((values - offset) / 0.1).astype(np.uint16)
        stated = {"scales": [0.1], "offsets": [offset]} if tags else {}
        write(folder / path.format(number), raw, transform, **stated)


def soil(
    folder: Path,
    band: str,
    raw: Field,
    corner: tuple[float, float],
    tiles: int = 2,
    pixel: float = 250,
) -> None:
    """A property of SoilGrids: a VRT over tiles of 32 pixels in homolosine, int16.

    Args:
        band: such as "clay_0-5cm_mean".
        corner: left and top of the mosaic, m.
        tiles: along a side of the mosaic.
        pixel: side of a pixel, m.
    """
    side, crs = 32, CRS.from_user_input(HOMOLOSINE)
    whole = Affine(pixel, 0, corner[0], 0, -pixel, corner[1])
    group = band.partition("_")[0]
    sources = []
    for row in range(tiles):
        for col in range(tiles):
            own = whole @ Affine.translation(col * side, row * side)
            values = raw(*centres(own, side, side)).astype(np.int16)
            name = f"{band}/tileSG-{row:03d}-{col:03d}/tileSG-{row:03d}-{col:03d}_1-1.tif"
            write(folder / group / name, values, own, crs.to_wkt(), nodata=-32768)
            rect = f'xSize="{side}" ySize="{side}"'
            sources.append(
                f'<ComplexSource><SourceFilename relativeToVRT="1">{name}</SourceFilename>'
                f'<SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" {rect}/>'
                f'<DstRect xOff="{col * side}" yOff="{row * side}" {rect}/>'
                "<NODATA>-32768</NODATA></ComplexSource>"
            )
    a, b, c, d, e, f = whole[:6]
    wkt = crs.to_wkt("WKT1_GDAL").replace("&", "&amp;").replace('"', "&quot;")
    (folder / group / f"{band}.vrt").write_text(
        f'<VRTDataset rasterXSize="{tiles * side}" rasterYSize="{tiles * side}"><SRS>{wkt}</SRS>'
        f"<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>"
        f'<VRTRasterBand dataType="Int16" band="1"><NoDataValue>-32768</NoDataValue>'
        f"{''.join(sources)}</VRTRasterBand></VRTDataset>"
    )


def land_cover_tile(folder: Path, name: str, west: float, north: float, codes: np.ndarray) -> None:
    """A tile of 3 degrees of WorldCover 2021, and the list of tiles."""
    step = 3 / codes.shape[0]
    path = folder / f"v200/2021/map/ESA_WorldCover_10m_2021_v200_{name}_Map.tif"
    write(path, codes.astype(np.uint8), Affine(step, 0, west, 0, -step, north), nodata=0)
    (folder / "esa_worldcover_grid.geojson").write_text(
        f'{{"type": "FeatureCollection", "features": [{{"properties": {{"ll_tile": "{name}"}}}}]}}'
    )


def year_of_climate(path: Path, variable: str, monthly: np.ndarray, scale: float) -> None:
    """A NetCDF file of TerraClimate: int16 with a scale, axes in degrees, no CRS.

    Args:
        monthly: values (months, lat, lon), NaN for sea; the Earth from 180 W, 90 N.
    """
    months, height, width = monthly.shape
    raw = np.where(np.isnan(monthly), -32768, np.round(monthly / scale)).astype(np.int16)
    axes = {
        "time": (np.arange(float(months)), "days since 1900-01-01"),
        "lat": (90 - (np.arange(height) + 0.5) * 180 / height, "degrees_north"),
        "lon": (-180 + (np.arange(width) + 0.5) * 360 / width, "degrees_east"),
    }
    attributes = {"scale_factor": scale, "add_offset": 0.0, "_FillValue": np.int16(-32768)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with netcdf_file(path, "w") as file:
        for name, (values, unit) in axes.items():
            file.createDimension(name, len(values))
            axis = file.createVariable(name, "d", (name,))
            axis[:], axis.units = values, unit
        data = file.createVariable(variable, "h", tuple(axes))
        data[:] = raw
        for name, value in attributes.items():
            setattr(data, name, value)


def year_of_era5(
    path: Path,
    variables: dict[str, tuple[str, np.ndarray]],
    year: int,
    *,
    packed: bool,
    times: np.ndarray | None = None,
    axes: tuple[str, ...] = (),
) -> None:
    """A NetCDF file of ERA5-Land: the Earth from 0 E, 90 N, with pixels centred on the poles.

    Args:
        variables: unit and monthly values (12, lat, lon) by name, NaN for sea.
        packed: whether it is as before 2024 (int16, axis `time`); else float32, axis `valid_time`.
        times: the times of the steps, as datetime64; None: the months of the year.
        axes: axes of length 1 between time and latitude.
    """
    if times is None:
        times = np.array([f"{year}-{month:02d}-01" for month in range(1, 13)], "datetime64[s]")
    _, height, width = next(iter(variables.values()))[1].shape
    since = (times - np.datetime64("1900-01-01" if packed else "1970-01-01")).astype(float)
    time = "time" if packed else "valid_time"
    unit = "hours since 1900-01-01 00:00:00.0" if packed else "seconds since 1970-01-01"
    named = {
        time: (since / 3600 if packed else since, unit),
        **{name: (np.zeros(1), "") for name in axes},
        "latitude": (np.linspace(90, -90, height), "degrees_north"),
        "longitude": (np.arange(width) * 360 / width, "degrees_east"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with netcdf_file(path, "w") as file:
        for name, (values, unit) in named.items():
            file.createDimension(name, len(values))
            axis = file.createVariable(name, "f" if name[:2] in ("la", "lo") else "d", (name,))
            axis[:], axis.units = values, unit
        for name, (unit, monthly) in variables.items():
            data = file.createVariable(name, "h" if packed else "f", tuple(named))
            data.units = unit
            if packed:
                low, high = np.nanmin(monthly), np.nanmax(monthly)
                scale, offset = (high - low) / 65000 or 1.0, (high + low) / 2
                data.scale_factor, data.add_offset = scale, offset
                data._FillValue = data.missing_value = np.int16(-32767)
                values = np.where(np.isnan(monthly), -32767, np.round((monthly - offset) / scale))
            else:
                data._FillValue, values = np.float32(np.nan), monthly
            data[:] = values.reshape(data.shape)


def opened(
    collection: str, endpoint: str, grid: Grid, cache: Path, year: int = STATIC, **keys: Any
) -> tuple[PredictorReader, tuple]:
    """A reader of a collection on a grid, and its items in the grid's region."""
    values = {"name": "s", "collection": collection, "endpoint": str(endpoint)} | keys
    section = SourceSection(**values, years=None if year == STATIC else (year,))
    found = collection_of(section)
    access = Access(
        hosts=("127.0.0.1",), cache=cache, attempts=3, timeout=5.0, owner="imagery.sources[0]"
    )
    items = look_up(section, found, grid.region, year, access).items
    return PredictorReader(Source(section, found, access, {year: items}), grid), items
