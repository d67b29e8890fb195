"""Check a VRT, an XML file by which GDAL makes a raster of other files, before GDAL opens it.

GDAL's VRT can run Python, read raw bytes of any file and open addresses on a network. Only what
gdalbuildvrt, gdalwarp -of VRT and gdal_translate -of VRT write is read; each source must be a
raster file of a permitted folder.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.checks import (
    MOST_XML_BYTES,
    READ_ELSEWHERE,
    SUBDATASET,
    WAY_OUT,
    Trust,
    check_file,
    check_leaf,
    check_size,
    short,
)
from spatioformer.geo.raster.signatures import format_of

DEEPEST = 8  # VRTs of VRTs
_ELEMENTS = """
VRTDataset SRS GeoTransform GCPList GCP Metadata MDI BlockXSize BlockYSize OverviewList
VRTRasterBand Description NoDataValue HideNoDataValue UnitType Offset Scale ColorInterp
CategoryNames Category ColorTable Entry Histograms HistItem HistMin HistMax BucketCount
IncludeOutOfRange Approximate HistCounts MaskBand Overview SourceBand SourceFilename
SimpleSource ComplexSource AveragedSource KernelFilteredSource NoDataFromMaskSource Kernel Size
Coefs SourceProperties SrcRect DstRect NODATA ScaleOffset ScaleRatio LUT Exponent SrcMin SrcMax
DstMin DstMax Clamp ColorTableComponent UseMaskBand MaskValueThreshold RemappedValue
GDALRasterAttributeTable FieldDefn Name Type Usage Row F GDALWarpOptions WarpMemoryLimit
ResampleAlg WorkingDataType Option SourceDataset Transformer ApproxTransformer MaxError
BaseTransformer GenImgProjTransformer SrcGeoTransform SrcInvGeoTransform DstGeoTransform
DstInvGeoTransform ReprojectTransformer ReprojectionTransformer SourceSRS TargetSRS Options
BandList BandMapping SrcNoDataReal SrcNoDataImag DstNoDataReal DstNoDataImag Cutline
CutlineBlendDist SrcAlphaBand DstAlphaBand SrcGCPTransformer GCPTransformer Order Reversed
Refine MinimumGcps Tolerance
"""
ELEMENTS = frozenset(_ELEMENTS.split())
_ATTRIBUTES = """
rasterXSize rasterYSize subClass dataType band blockXSize blockYSize relativeToVRT relativetoVRT
shared xOff yOff xSize ySize dataAxisToSRSAxisMapping coordinateEpoch Projection Id Info Pixel
Line X Y Z key domain format c1 c2 c3 c4 RasterXSize RasterYSize DataType BlockXSize BlockYSize
normalized resampling name src dst index Row0Min BinSize tableType
"""
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
CLASSES = ("VRTWarpedDataset", "VRTSourcedRasterBand", "VRTWarpedRasterBand")
OPTIONS = re.compile(r"geoloc|dem|coordinate_operation|rpc|method", re.IGNORECASE)
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+._-]+:|/vsi|[<{\\]")


def check_vrt(file: Path, trust: Trust, parents: tuple[Path, ...] = ()) -> None:
    """Check a VRT and all that it is made of.

    Args:
        file: the VRT.
        trust: its `folder` may hold sources, besides the folder of the VRT.
        parents: the VRTs of which this one is a source.

    Raises:
        ImageryError: it does more than place, warp or rescale rasters of the permitted folders.
    """
    root = _parsed(file)
    folders = [(parents or (file,))[0].resolve().parent]
    folders += [] if trust.folder is None else [trust.folder.resolve()]
    for element in root.iter():
        _check_element(element, file)
    try:
        width, height = int(root.get("rasterXSize", "1")), int(root.get("rasterYSize", "1"))
    except ValueError:
        raise ImageryError(f"{file} states no size in pixels; write it again") from None
    check_size(file, width, height, len(root.findall("VRTRasterBand")))
    if file in parents or len(parents) >= DEEPEST:
        raise ImageryError(f"{file} is made of itself or of too many VRTs; convert it to GeoTIFF")
    for source in dict.fromkeys(_sources(root, file)):
        _check_source(source, file, folders, trust, (*parents, file))


def _parsed(file: Path) -> ElementTree.Element:
    with open(file, "rb") as stream:
        content = stream.read(MOST_XML_BYTES + 1)
    if len(content) > MOST_XML_BYTES:
        raise ImageryError(f"{file} has more than {MOST_XML_BYTES:.0e} bytes; make several VRTs")
    try:
        text = content.decode("utf-8-sig")
        # Entities could grow without end, and GDAL joins the text around comments otherwise.
        if "<!" in text or text.count("<?") > text.startswith("<?xml") or "\0" in text:
            raise ImageryError(
                f"{file} holds comments, entities or instructions (<! or <?), which are not read "
                "from a VRT; remove them"
            )
        root = ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError, RecursionError) as error:
        raise ImageryError(f"{file} is not a VRT ({error}); write it again") from error
    if root.tag != "VRTDataset":
        raise ImageryError(
            f"{file} holds <{short(root.tag)}>, not <VRTDataset>; give a VRT of rasters"
        )
    return root


def _check_element(element: ElementTree.Element, file: Path) -> None:
    kind = element.get("subClass")
    surplus = [name for name in element.attrib if name not in ATTRIBUTES]
    text = (element.text or "").encode()
    if kind is not None and kind not in CLASSES:
        problem = f"is of the class {kind}"
    elif element.tag not in ELEMENTS:
        problem = f"holds <{element.tag}>"
    elif surplus:
        problem = f"holds the attribute {surplus[0]}"
    elif element.tag == "Option" and OPTIONS.search(element.get("name", "")):
        problem = f"has the option {element.get('name')}"
    elif READ_ELSEWHERE.search(element.get("key", "").encode() + b" " + text):
        problem = f"refers to files in <{element.tag}>"
    else:
        return
    raise ImageryError(
        f"{file} {short(problem)}, which is not read from a VRT, since it could read any file; "
        f"convert it with gdal_translate {file.name} {file.stem}.tif{WAY_OUT}"
    )


def _sources(root: ElementTree.Element, file: Path) -> Iterator[tuple[str, bool]]:
    """Name of each source, and whether it starts at the folder of the VRT."""
    for element in root.iter():
        if element.tag in ("SourceFilename", "SourceDataset"):
            relative = element.get("relativeToVRT", element.get("relativetoVRT", "0"))
            if len(element) or relative not in ("0", "1"):
                raise ImageryError(f"{file} names a source in an unknown way; write it again")
            yield element.text or "", relative == "1"


def _check_source(
    source: tuple[str, bool], file: Path, folders: list[Path], trust: Trust, parents: tuple
) -> None:
    name, relative = source
    part = SUBDATASET.fullmatch(name)
    plain = part[3] if part else name
    if not plain or ADDRESS.match(plain) or plain != plain.strip() or not plain.isprintable():
        raise _outside(file, name)
    # GDAL starts other relative paths at the working folder.
    path = file.resolve().parent / plain if relative else Path(plain).absolute()
    if not any(path.resolve().is_relative_to(folder) for folder in folders):
        raise _outside(file, name)
    if not path.exists():
        raise ImageryError(
            f"{file} is made of {short(name)}, which does not exist; copy it there or correct "
            "the VRT"
        )
    if path.suffix.lower() == ".vrt":
        if path.is_symlink():
            raise ImageryError(f"{path} is a link, as a source of {file}; give the VRT itself")
        check_file(path, Trust(everything=True))
        check_vrt(path, trust, parents)
        return
    driver = check_file(path)
    with open(path, "rb") as stream:
        if format_of(stream.read(1024)) is None:  # GDAL chooses the driver of a source
            raise ImageryError(
                f"{file} is made of {short(name)}, whose content does not show its format; "
                f"convert it to GeoTIFF first{WAY_OUT}"
            )
    check_leaf(path, driver)


def _outside(file: Path, name: str) -> ImageryError:
    return ImageryError(
        f"{file} is made of {short(name)!r}, which does not lie in the folder of the VRT or of the "
        f"configuration; copy it there, or convert the VRT with gdal_translate {file.name} "
        f"{file.stem}.tif{WAY_OUT}"
    )
