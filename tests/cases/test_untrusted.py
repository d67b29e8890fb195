"""Files of others reach no network and no file besides themselves (docs/security.md)."""

import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.vrt import WarpedVRT

from spatioformer.common.errors import ImageryError, PlotError, SpatioformerError
from spatioformer.geo.raster.checks import Trust
from spatioformer.geo.raster.layers import Layer, open_layer
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.vector.opening import list_layers, read_vector
from tests.helpers.untrusted import SECRET, one_sentence, traced

pytestmark = pytest.mark.integration

HEAD = '<VRTDataset rasterXSize="20" rasterYSize="20"><SRS>EPSG:4326</SRS>'
PLACE = "<GeoTransform>140, 0.1, 0, -30, 0, -0.1</GeoTransform>"
BAND = '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>{}</SimpleSource></VRTRasterBand>'
RAW = (
    '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
    '<SourceFilename relativeToVRT="0">{}</SourceFilename><ImageOffset>0</ImageOffset>'
    "<PixelOffset>1</PixelOffset><LineOffset>20</LineOffset></VRTRasterBand>"
)
WMS = "<GDAL_WMS><Service name='TMS'><ServerUrl>{}/wms</ServerUrl></Service></GDAL_WMS>"


def raster(path: Path, value: int = 7, **profile) -> Path:
    place = rasterio.Affine(0.1, 0, 140, 0, -0.1, -30)
    settings = {"driver": "GTiff", "crs": "EPSG:4326", "transform": place, "dtype": "uint8"}
    with rasterio.open(
        path, "w", **(settings | {"width": 20, "height": 20, "count": 1} | profile)
    ) as out:
        out.write(np.full((out.count, out.height, out.width), value, out.dtypes[0]))
    return path


def vrt(path: Path, body: str) -> Path:
    path.write_text(f"{HEAD}{PLACE}{body}</VRTDataset>")
    return path


def of(source: object, relative: int = 0) -> str:
    return BAND.format(
        f'<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand>"
    )


def refusal(path: Path) -> str:
    """The sentence by which a layer of this file is refused."""
    with pytest.raises(ImageryError) as caught, open_layer(Layer(path, "a")) as layer:
        layer.read_all()
    return one_sentence(caught.value)


@pytest.mark.parametrize("name", ["a.vrt", "a.tif", "a.nc", "a.jpg", "a.asc", "a.bil"])
@pytest.mark.parametrize("body", ["source", "raw", "wms"])
def test_a_raster_of_an_address_is_refused(folder, server, name, body):
    path = folder / name
    if body == "wms":
        path.write_text(WMS.format(server))
    else:
        address = f"/vsicurl/{server}/x.tif"
        vrt(path, RAW.format(address) if body == "raw" else of(address))
    message = refusal(path)
    if name != "a.vrt":
        assert f"{path} ends with {path.suffix}, but its content is XML" in message


@pytest.mark.parametrize(
    "source",
    [
        "/vsicurl/{0}/x.tif",
        "{0}/x.tif",
        "vrt://{0}/x.tif",
        "WMS:{0}",
        "NETCDF:{0}/x.nc:a",
        'NETCDF:"/vsicurl/{0}/x.nc":a',
        "/vsizip//vsicurl/{0}/x.zip/a.tif",
        "&lt;GDAL_WMS&gt;",
        "{{}}",
        "",
    ],
)
@pytest.mark.parametrize("relative", [0, 1])
def test_a_source_that_is_no_path_is_named(folder, server, source, relative):
    message = refusal(vrt(folder / "a.vrt", of(source.format(server), relative)))
    assert "does not lie in the folder of the VRT or of the configuration" in message
    assert "imagery.trust: true" in message


@pytest.mark.parametrize(
    "body",
    [
        RAW.format("b.tif"),
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">'
        "<PixelFunctionLanguage>Python</PixelFunctionLanguage></VRTRasterBand>",
        BAND.format("<SourceFilename>b.tif</SourceFilename><OpenOptions/>"),
        BAND.format("<sourcefilename>/etc/passwd</sourcefilename>"),
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource SourceFilename="/etc/passwd"/>'
        "</VRTRasterBand>",
        "<Group name='/'/>",
        '<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/etc/passwd</MDI></Metadata>',
        '<Metadata domain="GEOLOCATION"><MDI key="X_DATASET">/etc/passwd</MDI></Metadata>',
        "<GDALWarpOptions><Transformer><RPCTransformer><DEMPath>/etc/passwd</DEMPath>"
        "</RPCTransformer></Transformer></GDALWarpOptions>",
        "<Input/>",
    ],
)
def test_a_vrt_does_only_what_gdal_tools_write(folder, body):
    assert "which is not read from a VRT" in refusal(vrt(folder / "a.vrt", body))


@pytest.mark.parametrize("kind", ["absolute", "relative", "link", "nested", "raw"])
def test_a_secret_outside_stays_there(folder, tmp_path, secret, kind):
    outside = raster(tmp_path / "outside.tif", 99)
    body = of(outside)
    if kind == "relative":
        body = of("../outside.tif", 1)
    elif kind == "link":
        (folder / "b.tif").symlink_to(outside)
        body = of("b.tif", 1)
    elif kind == "nested":
        vrt(folder / "b.vrt", of(outside))
        body = of("b.vrt", 1)
    elif kind == "raw":
        body = RAW.format(secret)
    message = refusal(vrt(folder / "a.vrt", body))
    assert "99" not in message.replace(str(tmp_path), "")
    assert SECRET.decode()[:10] not in message


def test_a_trusted_vrt_reads_what_it_names(folder, tmp_path):
    path = vrt(folder / "a.vrt", of(raster(tmp_path / "outside.tif", 99)))
    for trust in (Trust(everything=True), Trust(folder=tmp_path)):
        with open_layer(Layer(path, "a", trust=trust)) as layer:
            assert (layer.read_all() == 99).all()


def test_the_configuration_gives_folder_and_trust(folder, tmp_path):
    from spatioformer.config.file import load_config
    from spatioformer.run.imagery import build_imagery

    vrt(folder / "a.vrt", of(raster(tmp_path / "outside.tif", 99)))
    (folder / "plots.csv").write_text("lon,lat,richness\n140.5,-30.5,3\n")
    text = "name: a\nout: out\nplots: {path: PLOTS}\n"
    text += "imagery: {layers: [{name: a, path: given/a.vrt}]}\n"
    near = tmp_path / "run.yaml"
    near.write_text(text.replace("PLOTS", "given/plots.csv"))
    build_imagery(load_config(near).imagery, tmp_path / "near.tif")
    far = folder / "run.yaml"
    far.write_text(text.replace("PLOTS", "plots.csv").replace("given/a.vrt", "a.vrt"))
    with pytest.raises(ImageryError, match=r"imagery\.trust: true"):
        build_imagery(load_config(far).imagery, tmp_path / "far.tif")
    trusted = load_config(far, ["imagery.trust=true"])
    build_imagery(trusted.imagery, tmp_path / "far.tif")
    assert (tmp_path / "near.tif").read_bytes() == (tmp_path / "far.tif").read_bytes()


def test_vrts_as_gdal_writes_them_are_read(folder):
    plain = raster(folder / "b.tif", 42)
    rasterio.shutil.copy(plain, folder / "plain.vrt", driver="VRT")
    with rasterio.open(plain) as source, WarpedVRT(source, crs="EPSG:3577") as warped:
        rasterio.shutil.copy(warped, folder / "warped.vrt", driver="VRT")
    vrt(folder / "nested.vrt", of("plain.vrt", 1))
    for name in ("plain.vrt", "warped.vrt", "nested.vrt"):
        with open_raster(folder / name) as dataset:
            assert dataset.read(1).max() == 42
    moved = folder.parent / "linked.vrt"
    moved.symlink_to(folder / "plain.vrt")
    with open_raster(moved) as dataset:
        assert dataset.read(1).max() == 42


@pytest.mark.parametrize("beside", ["a.tif.ovr", "a.tif.msk", "a.tif.OVR"])
def test_a_file_beside_a_raster_is_what_it_says(folder, server, beside):
    path = raster(folder / "a.tif")
    vrt(folder / beside, of(f"/vsicurl/{server}/x.tif"))
    assert f"{folder / beside} is not a TIFF" in refusal(path)


@pytest.mark.parametrize("where", ["tag", "sidecar", "source"])
def test_an_overview_elsewhere_is_refused(folder, server, where):
    address = f"/vsicurl/{server}/x.tif"
    path = raster(folder / "a.tif")
    if where == "sidecar":
        (folder / "a.tif.aux.xml").write_text(
            '<PAMDataset><Metadata domain="OVERVIEWS">'
            f'<MDI key="OVERVIEW_FILE">{address}</MDI></Metadata></PAMDataset>'
        )
    else:
        with rasterio.open(path, "r+") as out:
            out.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=address)
    if where == "source":
        path = vrt(folder / "a.vrt", of("a.tif", 1))
    assert "refers to another file" in refusal(path)


@pytest.mark.parametrize("kind", ["vrt", "sidecar", "tag"])
def test_a_crs_that_names_a_grid_is_refused(folder, secret, kind):
    crs = 'GEOGCS["x",DATUM["x",SPHEROID["Clarke",6378206.4,294.9786982],'
    crs += f'EXTENSION["PROJ4_GRIDS","{secret}"]],PRIMEM["Greenwich",0],UNIT["degree",0.0174533]]'
    path = raster(folder / "a.tif", crs=None)
    if kind == "vrt":
        path = vrt(folder / "a.vrt", of("a.tif", 1))
        path.write_text(path.read_text().replace("EPSG:4326", crs))
        assert "is not read from a VRT" in refusal(path)
    elif kind == "tag":
        text = f"+proj=longlat +ellps=clrk66 +nadgrids={secret} +no_defs"
        path = raster(folder / "b.tif", crs=rasterio.CRS.from_string(text))
        assert "b.tif refers to another file in its metadata" in refusal(path)
    else:
        shown = crs.replace('"', "&quot;")
        text = f"<PAMDataset><SRS>{shown}</SRS></PAMDataset>"
        (folder / "a.tif.aux.xml").write_text(text)
        assert "a.tif.aux.xml refers to another file" in refusal(path)
        (folder / "a.tif.aux.xml").write_text(text.replace("GRIDS", "&#71;RIDS"))
        assert "a.tif.aux.xml refers to another file" in refusal(path)


@pytest.mark.parametrize("size", ["2000000000", "50000001"])
def test_a_size_above_the_limit_is_refused_before_work(folder, size):
    raster(folder / "b.tif")
    path = vrt(folder / "a.vrt", of("b.tif", 1))
    path.write_text(path.read_text().replace('XSize="20"', f'XSize="{size}"', 1))
    assert f"states {size} x 20 pixels and 1 bands, above the limit" in refusal(path)
    many = {"width": 400_000, "height": 400_000, "count": 1, "dtype": "uint8"}
    place = rasterio.Affine(1e-4, 0, 0, 0, -1e-4, 0)
    with rasterio.open(
        folder / "c.tif", "w", driver="GTiff", transform=place, SPARSE_OK=True, tiled=True, **many
    ):
        pass
    assert "states 400000 x 400000 pixels" in refusal(folder / "c.tif")


def test_only_regular_files_are_read(folder):
    os.mkfifo(folder / "pipe.tif")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(folder / "s.tif"))
    assert "is a named pipe, not a raster file" in refusal(folder / "pipe.tif")
    assert "is a socket, not a raster file" in refusal(folder / "s.tif")
    assert "is a folder, not a raster file" in refusal(folder)
    assert "is a device, not a raster file" in refusal(Path("/dev/zero"))
    os.mkfifo(folder / "pipe.gpkg")
    for read in (read_vector, list_layers):
        with pytest.raises(PlotError, match="is not a regular file"):
            read(folder / "pipe.gpkg")


def test_an_address_is_refused_in_a_sentence(server):
    message = refusal(Path(f"{server}/a.tif"))
    assert "rasters are not read from a network; download it and give its path" in message


def test_extension_and_content_agree(folder):
    raster(folder / "a.png", driver="PNG")
    shutil.copy(folder / "a.png", folder / "b.tif")
    assert "b.tif ends with .tif, but its content is a PNG" in refusal(folder / "b.tif")
    shutil.copy(raster(folder / "c.tif"), folder / "c.xyz")
    assert "has the extension '.xyz', which is not read" in refusal(folder / "c.xyz")


@pytest.mark.parametrize("entity", ['<!DOCTYPE a [<!ENTITY b "cc">]>', "<!-- a -->", "<?b?>"])
def test_a_vrt_declares_nothing(folder, entity):
    path = vrt(folder / "a.vrt", of("b.tif", 1))
    path.write_text(entity + path.read_text())
    assert "holds comments, entities or instructions" in refusal(path)


def test_a_variable_of_a_file_with_a_colon(folder):
    path = folder / "rain 2014-05-03T10:00.nc"
    rasterio.shutil.copy(raster(folder / "a.tif", 9), path, driver="netCDF")
    with open_raster(f"netcdf:{path}:Band1") as dataset:
        assert (dataset.read(1) == 9).all()
    assert "does not exist" in refusal(folder / "a:b.nc")


def test_a_vrt_of_itself_is_refused(folder):
    assert "is made of itself" in refusal(vrt(folder / "a.vrt", of("a.vrt", 1)))


READ = """
import sys
from spatioformer.common.errors import SpatioformerError
from spatioformer.geo.raster.layers import Layer, open_layer
from pathlib import Path
for name in sys.argv[1:]:
    try:
        with open_layer(Layer(Path(name), "a")) as layer:
            layer.read_all()
    except SpatioformerError as error:
        print(error)
"""


def test_no_file_outside_is_opened(folder, tmp_path, secret):
    """The kernel's record of opened files; a Python hook cannot see what GDAL opens."""
    outside = raster(tmp_path / "outside.tif")
    names = []
    for i, body in enumerate((of(outside), of("../outside.tif", 1), RAW.format(secret))):
        names += [vrt(folder / f"{i}.vrt", body), vrt(folder / f"{i}.tif", body)]
    printed, calls = traced(tmp_path / "log", READ, names)
    assert len(printed.splitlines()) == len(names)
    assert any(str(folder / "0.vrt") in call for call in calls)  # what is read is recorded
    for name in ("outside.tif", "secret.txt", "AF_INET"):
        assert not any(name in call for call in calls)


HOSTILE = ["vrt-network.tif", "wms-network.tif", "vrt-passwd.tif", "two-billion-columns.vrt"]


@pytest.mark.parametrize("name", [*HOSTILE, "ogr-network.gpkg", "ogr-network.gml"])
def test_the_given_files(data_dir, name):
    path = data_dir.parent / "cases" / "hostile" / name
    if not path.exists():
        pytest.skip(f"{path} is absent: this case is not tested")
    with pytest.raises(SpatioformerError) as caught:
        open_raster(path) if name in HOSTILE else read_vector(path)
    one_sentence(caught.value)
