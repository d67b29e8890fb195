"""QGIS styles: NAME.qml beside NAME.tif colours the raster when QGIS opens it."""

import math
from pathlib import Path

import numpy as np
import rasterio

from spatioformer.common.files import write_text

VIRIDIS = (
    *("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c"),
    *("#28ae80", "#5ec962", "#addc30", "#fde725"),
)
CIVIDIS = (
    *("#00224e", "#123570", "#3b496c", "#575d6d", "#707173"),
    *("#8a8678", "#a59c74", "#c3b369", "#fee838"),
)
"""Colours from the lowest to the highest value: viridis for richness, cividis for other layers."""
RED_BLUE = (
    *("#b2182b", "#d6604d", "#f4a582", "#fddbc7", "#f7f7f7"),
    *("#d1e5f0", "#92c5de", "#4393c3", "#2166ac"),
)
"""Colours of differences: red for fewer, white for 0, blue for more."""


def write_style(
    raster: Path, colours: tuple[str, ...] = VIRIDIS, *, centred: bool = False
) -> Path | None:
    """Write the style of a raster's first band; its range comes from the embedded statistics.

    Args:
        centred: whether the range is symmetric about 0, as for differences.

    Returns:
        Path of the style; None, and no file, where the band holds no value.

    Raises:
        OutputError: the style cannot be written.
    """
    out = raster.with_suffix(".qml")
    with rasterio.open(raster) as source:
        tags, scale, offset = source.tags(1), source.scales[0], source.offsets[0]
        unit = source.units[0] or ""
    ends = [
        float(tags.get(f"STATISTICS_{end}", "nan")) * scale + offset
        for end in ("MINIMUM", "MAXIMUM")
    ]
    if not all(map(math.isfinite, ends)):
        out.unlink(missing_ok=True)  # that of a former raster
        return None
    if centred:
        largest = max(map(abs, ends)) or 1.0
        ends = [-largest, largest]
    write_text(out, style(ends[0], ends[1], colours, unit))
    return out


def style(low: float, high: float, colours: tuple[str, ...] = VIRIDIS, unit: str = "") -> str:
    """A QGIS style of the first band with colours interpolated from `low` to `high`."""
    items = "\n".join(
        f'     <item value="{value:.6g}" label="{value:.4g} {unit}" color="{colour}" alpha="255"/>'
        for value, colour in zip(np.linspace(low, high, len(colours)), colours, strict=True)
    )
    ends = f'minimumValue="{low:.6g}" maximumValue="{high:.6g}"'
    return f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.28.0" styleCategories="Symbology">
 <pipe>
  <rasterrenderer type="singlebandpseudocolor" band="1" alphaBand="-1" opacity="1"
    classificationMin="{low:.6g}" classificationMax="{high:.6g}">
   <rastershader>
    <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" {ends}>
{items}
    </colorrampshader>
   </rastershader>
  </rasterrenderer>
 </pipe>
</qgis>
"""
