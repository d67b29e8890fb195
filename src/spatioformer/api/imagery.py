"""Imagery for the Python door: rasters of any kind in, one stack of named bands out."""

import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import rioxarray
import xarray
from pydantic import ValidationError
from pyproj import CRS
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError
from rioxarray.exceptions import MissingSpatialDimensionError

from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.config.file import absolute_paths
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.messages import sentence
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.stack import Stack
from spatioformer.run.imagery import build_imagery

Layer: TypeAlias = str | Path | Mapping[str, Any] | xarray.DataArray
"""A raster: a path, a dict with the keys of a configuration's layer, or an array with a CRS."""

_LASTING: list["Imagery"] = []  # whose temporary files stay until Python ends


class Imagery:
    """A stack of named bands on one grid, in a file; made by `read_imagery`.

    Attributes:
        path: GeoTIFF with float32 bands, NaN for no data, and a mask of where to predict.
        bands: names of the bands, in the file's order.
        crs: coordinate reference system of the grid.
        region: W, E, S, N in degrees; W > E where it crosses the antimeridian.
        shape: number of rows and columns.
    """

    def __init__(self, path: str | Path, summary: Mapping[str, Any] | None = None):
        self.path = Path(path)
        self._folder: weakref.finalize[..., Imagery] | None = None  # removes a temporary file
        self._summary = None if summary is None else dict(summary)
        with Stack(self.path) as stack:
            self.bands: list[str] = stack.bands
            self.crs: CRS = stack.grid.crs
            self.shape: tuple[int, int] = stack.grid.shape
            west, east, south, north = (float(round(v, 6)) for v in stack.grid.region)
        self.region: tuple[float, float, float, float] = (west, east, south, north)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Shape, CRS, region, pixels to predict; of a stack just built also bands' statistics."""
        if self._summary is not None:
            return self._summary
        with Stack(self.path) as stack:
            wanted = sum(int(stack.read(window)[2].sum()) for window in stack.grid.windows(1024))
        height, width = self.shape
        return {
            "bands": self.bands,
            "height": height,
            "width": width,
            "crs": self.crs.to_string(),
            "region": list(self.region),
            "pixels": height * width,
            "pixels_to_predict": wanted,
        }

    def to_xarray(self) -> xarray.DataArray:
        """The bands as a DataArray that reads its values when they are used.

        Returns:
            float32 (band, y, x), NaN where a band holds no data; `band` holds the names, and
            `.rio.crs` the CRS.
        """
        if self._folder is not None and self not in _LASTING:
            _LASTING.append(self)  # a temporary file must outlive the arrays that read it
        array = rioxarray.open_rasterio(self.path)
        assert isinstance(array, xarray.DataArray)
        array = array.assign_coords(band=self.bands).rename("imagery")
        array.attrs = {"long_name": "imagery"}
        masked: xarray.DataArray = array.rio.write_nodata(np.nan, encoded=True)
        return masked

    def __repr__(self) -> str:
        count = f"{len(self.bands)} band{'s' * (len(self.bands) > 1)}"
        bands = ", ".join(self.bands[:6]) + (", ..." if len(self.bands) > 6 else "")
        height, width = self.shape
        region = ", ".join(f"{v:g}" for v in self.region)
        return (
            f"<Imagery: {count} ({bands}), {height} x {width} pixels, "
            f"{_short(self.crs)}, W, E, S, N = {region}>"
        )


def _short(crs: CRS) -> str:
    code = crs.to_epsg()
    return crs.name if code is None else f"EPSG:{code}"


def read_imagery(
    layers: Layer | Sequence[Layer],
    *,
    region: Sequence[float] | None = None,
    grid: Mapping[str, Any] | None = None,
    masks: Sequence[Mapping[str, Any]] = (),
    out: str | Path | None = None,
) -> Imagery:
    """Bring rasters onto one grid, as bands with names.

    Args:
        layers: one or more of: the path of a GeoTIFF, NetCDF or anything else GDAL opens;
            `"pip:NAME"`, a raster inside an installed package; a dict with the keys of a layer in
            a run's configuration, such as `{"path": "era5.nc", "variable": "tp", "reduce":
            "mean"}` (docs/run.md); an xarray.DataArray ([band,] y, x) with a CRS. Without a
            `name` a layer is called after its file. The first one gives the grid.
        region: W, E, S, N in degrees; the grid is clipped to it.
        grid: `{"crs": "EPSG:3577", "resolution": 1000}`: a grid of your own, for `region`.
        masks: class rasters with classes in which nothing is predicted, as dicts:
            `{"path": "landcover.tif", "exclude": [0, 80]}`.
        out: GeoTIFF to write; None writes a temporary file, which is removed with the object. One
            stack that a run wrote (imagery.tif), given alone, is opened and not copied.

    Returns:
        The stack; `to_xarray()` gives its values.

    Raises:
        ConfigError: a layer, region, grid or mask is described wrongly.
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
    """
    several = [layers] if isinstance(layers, str | Path | Mapping | xarray.DataArray) else layers
    alone = region is None and grid is None and not masks and out is None
    if alone and len(several) == 1 and isinstance(several[0], str | Path):
        stack = several[0]
        if _is_stack(stack):
            return Imagery(stack)
    folder = Path(tempfile.mkdtemp(prefix="spatioformer-"))
    try:
        section = _section(several, region, grid, masks, folder)
        path = folder / "imagery.tif" if out is None else Path(out)
        imagery = Imagery(path, build_imagery(section, path))
    except BaseException:
        _remove(folder)
        raise
    if out is None:
        imagery._folder = weakref.finalize(imagery, _remove, folder)
    else:
        _remove(folder)
    return imagery


def opened(imagery: "Imagery | str | Path") -> Imagery:
    """Imagery as it is, or the stack at a path.

    Raises:
        ImageryError: neither of them, or no raster.
    """
    if isinstance(imagery, Imagery):
        return imagery
    if isinstance(imagery, str | Path):
        return Imagery(imagery)
    raise ImageryError(
        f"imagery is a {type(imagery).__name__}; give what spatioformer.read_imagery returns"
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _is_stack(path: str | Path) -> bool:
    """Whether a file is a stack as `build_stack` writes it: float32, named bands, one mask."""
    try:
        with open_raster(path) as source:
            names = source.descriptions
            masked = all(flags == [MaskFlags.per_dataset] for flags in source.mask_flag_enums)
            named = all(names) and len(set(names)) == len(names)
            return bool(masked and named and set(source.dtypes) == {"float32"})
    except (RasterioIOError, ImageryError, TypeError):
        return False  # another kind of file, or none: `build_imagery` says which


def _section(
    layers: Sequence[Layer],
    region: Sequence[float] | None,
    grid: Mapping[str, Any] | None,
    masks: Sequence[Mapping[str, Any]],
    folder: Path,
) -> ImagerySection:
    """The layers as the configuration's section; arrays are written into `folder`."""
    values = {
        "layers": [_layer(layer, place, folder) for place, layer in enumerate(layers)],
        "region": None if region is None else tuple(region),
        "grid": grid,
        "masks": [_named(dict(mask)) for mask in masks],
    }
    try:
        section = ImagerySection.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"read_imagery: {sentence(error, ImagerySection)}") from None
    return absolute_paths(section, Path.cwd())


def _layer(layer: Layer, place: int, folder: Path) -> dict[str, Any]:
    if isinstance(layer, xarray.DataArray):
        return _written(layer, place, folder)
    if isinstance(layer, Mapping):
        return _named(dict(layer))
    if isinstance(layer, str | Path):
        return _named({"path": layer})
    raise ImageryError(
        f"layer {place} is a {type(layer).__name__}; give a path, a dict with a path, or an "
        "xarray.DataArray"
    )


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """A layer's keys with its path as text, and a name after its file unless it has one."""
    path = values.get("path")
    if isinstance(path, str | Path):
        values["path"] = str(path)
        values.setdefault("name", _name(Path(str(path).removeprefix("pip:")).stem))
    return values


def _name(text: str) -> str:
    """Text as the name of a layer: letters, digits, _ and -, a letter first."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text)
    return name if re.match("[A-Za-z]", name) else f"layer_{name}"


def _written(array: xarray.DataArray, place: int, folder: Path) -> dict[str, Any]:
    """Write an array as a GeoTIFF; returns its keys as a layer."""
    name = _name(str(array.name)) if array.name is not None else f"layer_{place}"
    try:
        crs, spatial = array.rio.crs, {array.rio.y_dim, array.rio.x_dim}
    except MissingSpatialDimensionError as error:
        raise ImageryError(
            f"layer {name} has the dimensions {', '.join(map(str, array.dims))}; give an array "
            "([band,] y, x)"
        ) from error
    if crs is None:
        raise ImageryError(
            f"layer {name} has no CRS; give it one with array.rio.write_crs('EPSG:...')"
        )
    others = [dim for dim in array.dims if dim not in spatial]
    if len(others) > 1:
        raise ImageryError(
            f"layer {name} has the dimensions {', '.join(map(str, array.dims))}; reduce all but "
            "one of them besides y and x, for example with array.mean('time')"
        )
    values: dict[str, Any] = {"path": str(folder / f"{place}.tif"), "name": name}
    if others:
        array = array.transpose(*others, array.rio.y_dim, array.rio.x_dim)
        labels = array[others[0]].to_numpy() if others[0] in array.coords else np.empty(0)
        if labels.dtype.kind in "UOT" and all(isinstance(label, str) for label in labels):
            values["band_names"] = tuple(str(label) for label in labels)
    # A coordinate of texts is no attribute that a GeoTIFF can hold.
    array.drop_vars(others, errors="ignore").rio.to_raster(values["path"])
    return values
