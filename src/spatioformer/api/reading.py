"""`read_imagery`: rasters into a stack, or collections of archives into a lazy one."""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import xarray
from pydantic import ValidationError

from spatioformer.api.archives import LazyImagery
from spatioformer.api.imagery import Imagery, remove_with
from spatioformer.api.layers import Layer, is_stack_file, layer_keys, named
from spatioformer.common.errors import ArgumentError, ConfigError
from spatioformer.config.archives import SourceSection
from spatioformer.config.file import absolute_paths
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.messages import sentence, shown
from spatioformer.run.imagery import build_imagery
from spatioformer.run.sources import utm_grid

Composite = Literal["geomedian", "median", "mean", "percentiles", "count", "none"]
Kind = Literal[
    "stac-api", "stac-static", "stac-geoparquet", "index", "folder", "zarr", "files", "vrt"
]
OF_SOURCES = ("resolution", "crs", "season", "bands", "indices", "composite", "endpoint", "kind")
OF_IMAGERY = ("collections", "cache")


@overload
def read_imagery(
    layers: Layer | Sequence[Layer],
    *,
    region: Sequence[float] | None = ...,
    grid: Mapping[str, Any] | None = ...,
    masks: Sequence[Mapping[str, Any]] = ...,
    out: str | Path | None = ...,
    years: None = ...,
) -> Imagery: ...


@overload
def read_imagery(
    layers: Layer | Sequence[Layer],
    *,
    years: int | Sequence[int] | None = ...,
    region: Sequence[float] | None = ...,
    grid: Mapping[str, Any] | None = ...,
    masks: Sequence[Mapping[str, Any]] = ...,
    resolution: float | None = ...,
    crs: str | None = ...,
    season: tuple[str, str] | None = ...,
    bands: Sequence[str] | None = ...,
    indices: Sequence[str] = ...,
    composite: Composite | None = ...,
    endpoint: str | Path | None = ...,
    kind: Kind | None = ...,
    offline: bool = ...,
    **source: Any,
) -> LazyImagery: ...


def read_imagery(
    layers: Layer | Sequence[Layer],
    *,
    region: Sequence[float] | None = None,
    grid: Mapping[str, Any] | None = None,
    masks: Sequence[Mapping[str, Any]] = (),
    out: str | Path | None = None,
    years: int | Sequence[int] | None = None,
    resolution: float | None = None,
    crs: str | None = None,
    season: tuple[str, str] | None = None,
    bands: Sequence[str] | None = None,
    indices: Sequence[str] = (),
    composite: Composite | None = None,
    endpoint: str | Path | None = None,
    kind: Kind | None = None,
    offline: bool = False,
    **source: Any,
) -> Imagery | LazyImagery:
    """Bring rasters onto one grid, or open collections of archives on one grid.

    With `years`, the imagery comes from archives and is a `LazyImagery`: nothing is read before it
    is needed. docs/imagery.md lists the collections. Without, the rasters become a stack in a
    file.

    Args:
        layers: one or more of: the path of a GeoTIFF, NetCDF or anything else GDAL opens;
            `"pip:NAME"`, a raster inside an installed package; a dict with the keys of a layer in
            a run's configuration, such as `{"path": "era5.nc", "variable": "tp", "reduce":
            "mean"}` (docs/run.md); an xarray.DataArray ([band,] y, x) with a CRS. Without a
            `name` a layer is called after its file. The first one gives the grid. With `years`
            also the name of a collection, or a dict with the keys of a source, such as
            `{"collection": "sentinel-2-l2a", "min_clear": 5}`. Text is a path if there is such a
            file or folder, or if it ends like a file (".tif"); otherwise it is a collection.
        region: W, E, S, N in degrees; the grid is clipped to it. Collections alone need it.
        grid: `{"crs": "EPSG:3577", "resolution": 1000}`: a grid of your own, for `region`.
        masks: land cover with classes in which nothing is predicted, as dicts:
            `{"path": "landcover.tif", "exclude": [0, 80]}`, or
            `{"collection": "esa-worldcover", "exclude": ["cropland", "water"]}`.
        out: GeoTIFF to write; None writes a temporary file, which is removed with the object. One
            stack that a run wrote (imagery.tif), given alone, is opened and not copied.
        years: of collections: one year, the first and the last one, or every year. Terrain,
            climate and soil have none: `read_imagery("worldclim-bioclim", region=...)`; beside
            imagery of years they are the same in each.
        resolution: side of a pixel, in units of `crs`, or m if there is none; None: that of the
            collection.
        crs: of the grid; None: the UTM zone of the region, which may be 6 degrees wide.
        season: first and last day as MM-DD; None: the whole year.
        bands: of the collection; None: all that it reads unless told otherwise.
        indices: spectral indices by their names in spyndex, such as "NDVI".
        composite: how the dates of a year become one value; None: the geometric median of scenes,
            and annual images as they are.
        endpoint: address or path of the catalogue; None: that of the table of collections.
        kind: kind of the catalogue at `endpoint`, such as "folder" for scenes on this computer.
        offline: whether only the cache is read.
        source: other keys of a source in a run's configuration, such as `min_clear=5`,
            `max_years=2` or `choose={"pixel": "5m"}`, and `collections` and `cache` of `imagery`.

    Returns:
        The stack; `to_xarray()` gives its values.

    Raises:
        ArgumentError: arguments that do not fit together.
        ConfigError: a layer, source, region, grid or mask is described wrongly.
        ImageryError: a raster cannot be read, has no CRS, or does not overlap the others.
        OutputError: the stack cannot be written.

    Examples:
        >>> import numpy as np, rioxarray, xarray
        >>> import spatioformer as sf
        >>> values = np.arange(12.0).reshape(3, 4)
        >>> axes = {"y": [-42.1, -42.2, -42.3], "x": [147.1, 147.2, 147.3, 147.4]}
        >>> ndvi = xarray.DataArray(values, axes, ("y", "x"), "ndvi").rio.write_crs("EPSG:4326")
        >>> sf.read_imagery(ndvi)
        <Imagery: 1 band (ndvi), 3 x 4 pixels, EPSG:4326, \
W, E, S, N = 147.05, 147.45, -42.35, -42.05>
        >>> sf.read_imagery(
        ...     "sentinel-2-l2a", years=(2019, 2021), region=(147.2, 147.4, -42.9, -42.8),
        ...     bands=["red", "nir"], indices=["NDVI"], season=("10-01", "03-31"), name="s2",
        ... )
        <LazyImagery of 2019, 2020, 2021: 3 bands (s2_red, s2_nir, s2_NDVI), 1117 x 1639 pixels, \
EPSG:32755, W, E, S, N = 147.2, 147.401, -42.9005, -42.7994>
        >>> sf.read_imagery(
        ...     "chelsa-bioclim", bands=["bio1", "bio12"], name="climate", resolution=1000,
        ...     region=(147.2, 147.4, -42.9, -42.8),
        ... )
        <LazyImagery of no year: 2 bands (climate_bio1, climate_bio12), 12 x 17 pixels, \
EPSG:32755, W, E, S, N = 147.2, 147.408, -42.9081, -42.7994>
    """
    several = [layers] if isinstance(layers, str | Path | Mapping | xarray.DataArray) else layers
    settings = {"resolution": resolution, "crs": crs, "season": season, "bands": bands,
                "indices": tuple(indices) or None, "composite": composite, "kind": kind,
                "endpoint": None if endpoint is None else str(endpoint), **source}  # fmt: skip
    settings = {key: value for key, value in settings.items() if value is not None}
    if years is None and not _are_static(several, settings):
        _refuse_archives(several, settings, offline)
        return _stack(several, region, grid, masks, out)
    if out is not None:
        raise ArgumentError(
            "out is one file, and imagery of archives has one a year; write them with "
            "read_imagery(...).write(folder)"
        )
    return _lazy(several, region, grid, masks, years, settings, offline)


def _are_static(layers: Sequence[Layer], settings: Mapping[str, Any]) -> bool:
    """Whether there are collections among the layers, and none of them has years."""
    names = [x for x in layers if _is_collection(x)]
    of_dicts = [x["collection"] for x in layers if isinstance(x, Mapping) and "collection" in x]
    collections = [str(name) for name in (*names, *of_dicts)]
    return bool(collections) and all(_is_static(name, settings) for name in collections)


def _is_static(collection: str, settings: Mapping[str, Any]) -> bool:
    """Whether the table, or a file of rows of the user, says that a collection has no years."""
    from spatioformer.archives.rows import built_in, rows_of

    rows = dict(built_in())
    if "collections" in settings:
        rows |= rows_of(settings["collections"])
    return collection in rows and rows[collection].kind == "static"


def _refuse_archives(layers: Sequence[Layer], settings: Mapping[str, Any], offline: bool) -> None:
    """Raise if arguments or layers concern archives, which need years.

    Raises:
        ArgumentError: as above.
    """
    from spatioformer.archives.rows import built_in

    arguments = {*OF_SOURCES, *OF_IMAGERY, *SourceSection.model_fields}
    for key in settings:
        if key not in arguments:
            raise ArgumentError(f"read_imagery has no argument {key!r}; see help(read_imagery)")
    names = [shown(x) for x in layers if _is_collection(x) and str(x) in built_in()]
    of_dicts = ["collection" for x in layers if isinstance(x, Mapping) and "collection" in x]
    of_archives = [*settings, *(["offline"] if offline else []), *names, *of_dicts]
    if of_archives:
        raise ArgumentError(
            f"{of_archives[0]} is of collections of archives, which need `years`, such as "
            "years=(2019, 2023)"
        )


def _is_collection(layer: Layer) -> bool:
    """Whether text is the name of a collection: no file or folder is called so, nor ends so."""
    if not isinstance(layer, str) or layer.startswith("pip:") or Path(layer).exists():
        return False
    return re.fullmatch(r"[^/\\.]+", layer) is not None


def _stack(
    layers: Sequence[Layer],
    region: Sequence[float] | None,
    grid: Mapping[str, Any] | None,
    masks: Sequence[Mapping[str, Any]],
    out: str | Path | None,
) -> Imagery:
    alone = region is None and grid is None and not masks and out is None
    if alone and len(layers) == 1 and isinstance(layers[0], str | Path):
        path = layers[0]
        if is_stack_file(path):
            return Imagery(path)
    folder = Path(tempfile.mkdtemp(prefix="spatioformer-"))
    try:
        rasters = [layer_keys(layer, place, folder) for place, layer in enumerate(layers)]
        section = _section({"layers": rasters}, region, grid, masks)
        target = folder / "imagery.tif" if out is None else Path(out)
        imagery = Imagery(target, build_imagery(section, target, masks=folder / "masks"))
    except BaseException:
        _remove(folder)
        raise
    if out is None:
        imagery._folder = remove_with(imagery, folder)
    else:
        _remove(folder)
    return imagery


def _lazy(
    layers: Sequence[Layer],
    region: Sequence[float] | None,
    grid: Mapping[str, Any] | None,
    masks: Sequence[Mapping[str, Any]],
    years: int | Sequence[int] | None,
    settings: dict[str, Any],
    offline: bool,
) -> LazyImagery:
    resolution, crs = settings.pop("resolution", None), settings.pop("crs", None)
    of_imagery = {key: settings.pop(key) for key in OF_IMAGERY if key in settings}
    folder = Path(tempfile.mkdtemp(prefix="spatioformer-"))
    try:
        sources, rasters, dated = [], [], {"years": years}
        for place, layer in enumerate(layers):
            if isinstance(layer, Mapping) and "collection" in layer:
                of_years = {} if _is_static(str(layer["collection"]), of_imagery) else dated
                sources.append(_source({**of_years, **settings, **layer}))
            elif _is_collection(layer):
                of_years = {} if _is_static(str(layer), of_imagery) else dated
                sources.append(_source({**of_years, **settings, "collection": layer}))
            else:
                rasters.append(layer_keys(layer, place, folder))
        if not sources:
            raise ArgumentError(
                "years is of collections of archives, and there is none among the layers (an "
                "existing file or folder is read as a raster); leave years out"
            )
        values = {"sources": sources, **of_imagery} | ({"layers": rasters} if rasters else {})
        grid = _grid_keys(grid, region, resolution, crs)
        section = _section(values, region, grid, masks)
        return LazyImagery(section, folder, offline=offline)
    except BaseException:
        _remove(folder)
        raise


def _source(values: dict[str, Any]) -> dict[str, Any]:
    """Keys of a source, with a name after its collection unless it has one."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(values["collection"]))[:100]
    values.setdefault("name", name if re.match("[A-Za-z]", name) else f"source_{name}")
    for key in ("years", "bands", "indices", "season", "percentiles", "spoils", "hosts"):
        if isinstance(values.get(key), list | range):
            values[key] = tuple(values[key])
    return values


def _grid_keys(
    grid: Mapping[str, Any] | None,
    region: Sequence[float] | None,
    resolution: float | None,
    crs: str | None,
) -> Mapping[str, Any] | None:
    """The grid of the configuration from `grid`, or from a resolution and perhaps a CRS.

    Raises:
        ArgumentError: they do not fit together.
    """
    if resolution is None and crs is None:
        return grid
    if grid is not None:
        raise ArgumentError("grid holds the CRS and the resolution; leave crs and resolution out")
    if resolution is None:
        raise ArgumentError(f"crs is {crs!r} without resolution; give it in units of that CRS")
    if region is None:
        raise ArgumentError("resolution is of a grid for `region`; give region=(W, E, S, N) too")
    if crs is None and len(region) == 4:
        west, east, south, north = region
        if not 0 < (east - west) % 360 <= 6:
            raise ArgumentError(
                f"the region is {(east - west) % 360:g} degrees wide, and a UTM zone has 6; choose "
                "a CRS for it, such as crs='EPSG:3577'"
            )
        crs = utm_grid((west, east, south, north), resolution).crs.to_string()
    return {"crs": crs, "resolution": resolution}


def _section(
    values: dict[str, Any],
    region: Sequence[float] | None,
    grid: Mapping[str, Any] | None,
    masks: Sequence[Mapping[str, Any]],
) -> ImagerySection:
    """The section of the configuration, with absolute paths."""
    values |= {
        "region": None if region is None else tuple(region),
        "grid": grid,
        "masks": [named(dict(mask)) for mask in masks],
    }
    try:
        section = ImagerySection.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"read_imagery: {sentence(error, ImagerySection)}") from None
    return absolute_paths(section, Path.cwd())


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
