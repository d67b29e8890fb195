"""HDF5 files: with axes as NetCDF, without axes by `crs` and `bounds`, or refused in a sentence.

The files were written by h5py 3.16 and are kept as text, because no package that the project needs
writes HDF5.
"""

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.layers import Layer, open_layer
from spatioformer.geo.raster.stack import build_stack
from spatioformer.setup.rasters import examine

AXES = (
    "c-rk*KX2MV6u&!gVhm|WTcv5$KOPw~P>HP|Z~_tmgfnzYEMYZBElAi^*Np9!kHFZmA0cDLjvezcy3sq|dtkdZAT^Cdd%"
    "xxR?%un*_wL8@`SGRMINC9u8AL$WNtP5z7&E{RGup=SbC49|XOLeR_S0bO0Q&b}{<z+0-?D`EECyWXR+CaE3jZUTR;?%"
    "GTWBLoZ&+0CcrqM>`Plr!b<_CU%*ghIwjO^gKwMKDrQ$C~3G<~E)q6i4N$L23oH)av!yAo1g?W9r=DK#L+Yk)KylG~l`"
    "8v*Hg|s}dBV$G}|HwShdk*g>(97^lAyoFvHxTnGDd$Of265JSuNY^HQTaZTnI%Inb4eMZ04Gh!7T49u$I;ODc>56*V~c"
    "YfxbG&e>z%od=O@|K+cn!3c91*KuF*QNI(DnuIkW4vwl()_nv3&HPvF(!w(vc-Jbq|h+Fq`QdA5{au7^=7zWfKsb?H<C"
    "c?EI`@|#mFK&GGpb9B<Fomd3UF&jEZ%o}MuJ$!LjJiRrdC$*ZVI|)1;jVJ!a9q{z0v7Dz8udijC%Tki^_1bZTJS_GXjw"
    "?lb8J@sK#+4+tGkm{7v&gr{LN}Q7I9CeEaXyFjclitlp}4eL_9-DxVdf_g2}<Su@S4Oz_w`<3@f>cmgmsfLBI90Vxd&T"
    "ho3E842Fa7-dbdqO7c`pk`)9F!%pchleJw>FakZ=7Q3?tQ3JMAe3JMAe3JMDM1qyWotUKWMJW8zFR9?Y%{M>T7k^U{}J"
    "5m31b5s4h?>d(WO!)hCu57HWC9L~97`GF(NrUg{0blbWc}({C^UZvJKA)p+9a(*=Q@3D$`%La{;P{T``YYp(ehh{m+>t"
    "kgYVPX)yNmNPFeAK-$01%%kJrsN)gK!32iv~@j~KHR"
)
"""Group Grid: lon (4) from 140 and lat (3) from -21 at 0.5 degrees, rain (lon, lat) 0 to 11, and
snow, twice as much. Longitude is the slower dimension, latitudes ascend, as in GPM IMERG."""

TWO = (
    "c-rgqaB<`1lHy_j0S*oZ76t(ZWbhvfZg8XWVe$!3nh{EOK<O1sFmXn(oCH){5NbZUx{x4OSCH!eXaHsp2RoEz7zHB{c("
    "^(SfanM)AC^i_FrlhTM@x?$6xz$kzzQ*o5ysbm&`b~kW~e$AD2>S%0BaQhCR`>Ym$L#>GDw_>31ScjG>0%V8bGy5pt+="
    "Bki-Nd&>ze||FJT#F|Y&O&B?&Uz>PDX7eIY8fsMF)9>9SbzoTGe=W|$k+Q5dYt^`V#qUCo7GVKla^LGKIU|9X)!GdZod"
    "O98j_`;D19*zpk_|?Pm`3%m{utP0nx#?W*tl+{{@9;o#6e9yKg9uP{adKi#YJ6H^a!Gy>xSUt8hsL!7g9$f-$$w_ld;<"
    "Xw>;<6qAAs2cSD-*qy@PNcH`slNDJk*!X=%l&&;o)u_o+DWFjzpv`G96}Fyv+y7iZ?B$CoAMl%`?{N0@##csO}L#d&~G"
    "f&r*6GbO$#F)uw8q6=L=Bg6z)^99k2;e?uJ0rwZkJ@IatIXPia$KY`fE0hKR3^Qoq"
)
"""Group g: t (3, 4) 0 to 11; u the same with scale_factor 0.5, add_offset 10, _FillValue 5,
missing_value 6, valid_range 0 to 9. No axes."""

ONE = (
    "c-rgqaB<`1lHy_j0S*oZ76t(ZWbhvfW^khNVe$!3nh{EOK<O1sFmXn(oCH){5NbZUx{x4OSCH!eXaHsp2RoEz7zHB{c("
    "^(SfanM)AC^i_FrlhTM@x?$6xz$kzzQ*o5ysbm&`b~kW~e$AD2>S%0BaQhCR`>Ym$L#>GDw_>31ScjG>0%V8bGy5pt+="
    "Bki-Nd&>ze||FJT#F|Y&O&B?&Uz>PDX7eIY8fsMF)9>6i0&qwn)W<KA*hN`ZF%K1Fl&))@<f??^-g9X)m^mIH5hzmyr="
    "Fu=A2LJ$|*F^&"
)
"""Group g: t (3, 4) 0 to 11. No axes."""

EOS = (
    "c-rk*%}(1u5Z*W;v0YUPqN0fYDEJg4io&17#ZoDDVyYyL5~qS*T#LBis*uPrg5G+hH;#P-j@;-YaLl9d26XLR$KEACnu"
    "64dokPa^&1^iL-SO;<e`reasW>eHpLiamKo-R53R6!a$D#Za<_XM?F+b%(JQ2vIFg}j|pVl+#s_JWBQPejiOE5-{j5Kw"
    "v=JQQF&SQSTQF=;I)f*wtZB&bTy|QL(=v8u`7KXfU0*s+KiExbWoZt|U#Cj>ruaC3A)GQAG7u&&OfDdqvLx05M2uUX3W"
    "k6GuCEx#vb+{>>H}L}>rH6~>-3i2bwzXM2$KLBd)1+RhzM(W?ajQMh{?*2D)MakBZ#6^NN9DhVvhVB}8uun|*E_+$+4S"
    "&t<ltK>1>Z<%kb&_i01-Tae%G5dxp8QDyA97h*!B)wTNKr*Vh)rbu;e<e2oo>}SI}G#1;LkAtvy?oN)jAyD$bs~3@^6)"
    "izRr`>~w6mY=8D@ZD-%Bcy3qDFDw@j%_BDVW|0JD;ly(L(01$2&TfCwB0XuLutZI&x$Q6Zw&%3>Wldc%OY26>EU7v+RC"
    "k>n2TA-?VwM!MS@vbYGeL{({Vtpek;o@;6eE^r6&?F)3nGI4?!CHhL|EVyLFkW>Z#=1w8s9p$tgRSk6(+C`s@c%=x`Cw"
    "5UfJn-a$fSCC(TK|Go{%;R<Vv+H;a912O1K4jF`~~so3t0-3qWSp-KuO9Itr{Aa(}Af>n;dNSP8K@S`<Il|n`KVr9gL5"
    "u+igQPmay1Q4FX3n}tEL!axzbI`?WQtuLvvonv=k9XBO+H+R#usG`%_uw*3)eThr!DzHN%fDc8#`+3T-5%D*my@KPU*z"
    "Oa;X=gW+k1-dlMET(bp6g~wD|74Wbw`7`+8rlNA<hBd+y88@%@X6??3Omv2&15xg_(+D0Kb16i@8OB>uiM0e{Z9+rBqV"
    ";iWjIzNDT0XZ{%652x$WyYkEN49hPpzeM>Z7xqP{z6NSLS8UH}!IR{C0Z{p7^>6dbE4CJ+&~L0SiPQ"
)
"""HDF-EOS5: a grid of t (3, 4) 0 to 11, from 140 E, 20 S to 142 E, 21 degrees 30 minutes S."""

PLACE = {"crs": "EPSG:4326", "bounds": (140, 142, -21.5, -20)}


def hdf5(path: Path, text: str) -> Path:
    path.write_bytes(zlib.decompress(base64.b85decode(text)))
    return path


def refusal(layer: Layer) -> str:
    with pytest.raises(ImageryError) as caught, open_layer(layer):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", ["h5", "HDF5", "he5", "nc"])
def test_axes_place_the_pixels(tmp_path, ending):
    path = hdf5(tmp_path / f"a.{ending}", AXES)
    assert "set `variable` to one of /Grid/rain, /Grid/snow" in refusal(Layer(path, "a"))
    with open_layer(Layer(path, "a", variable="/Grid/rain")) as layer:
        assert layer.grid.transform == Affine(0.5, 0, 139.75, 0, -0.5, -19.75)
        np.testing.assert_array_equal(layer.read_all()[0], np.arange(12).reshape(4, 3).T[::-1])


def test_a_grid_of_hdf_eos_places_itself(tmp_path):
    path = hdf5(tmp_path / "a.he5", EOS)
    with open_layer(Layer(path, "a")) as layer:
        assert layer.grid.transform.almost_equals(Affine(0.5, 0, 140, 0, -0.5, -20))
        assert layer.grid.crs.is_geographic
        np.testing.assert_array_equal(layer.read_all()[0], np.arange(12).reshape(3, 4))
        assert layer.regularity is None


def test_netcdf_4_of_gdal_by_another_name(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    place = Affine(0.5, 0, 140, 0, -0.5, -20)
    profile = {"count": 1, "height": 3, "width": 4, "dtype": "float32", "transform": place}
    with rasterio.open(tmp_path / "a.tif", "w", "GTiff", crs="EPSG:3577", **profile) as out:
        out.write(values)
    rasterio.shutil.copy(tmp_path / "a.tif", tmp_path / "a.nc", driver="netCDF", FORMAT="NC4")
    (tmp_path / "a.nc").rename(tmp_path / "a.h5")
    with open_layer(Layer(tmp_path / "a.h5", "a")) as layer:
        assert layer.grid.crs.to_epsg() == 3577
        assert layer.grid.transform == place
        np.testing.assert_array_equal(layer.read_all(), values)


def test_without_axes_the_configuration_places_it(tmp_path):
    path = hdf5(tmp_path / "a.h5", ONE)
    assert "set `crs: EPSG:...`" in refusal(Layer(path, "a"))
    assert "add `bounds: [W, E, S, N]`" in refusal(Layer(path, "a", crs="EPSG:4326"))
    for variable in (None, "g/t", "/g/t"):
        with open_layer(Layer(path, "a", variable=variable, **PLACE)) as layer:
            assert layer.grid.transform == Affine(0.5, 0, 140, 0, -0.5, -20)
            np.testing.assert_array_equal(layer.read_all()[0], np.arange(12).reshape(3, 4))
    built = build_stack([Layer(path, "a", **PLACE)], tmp_path / "stack.tif")
    assert any("its first row is taken to be the northern one" in note for note in built["notes"])


def test_a_data_set_is_chosen_by_name(tmp_path):
    path = hdf5(tmp_path / "a b:c.h5", TWO)
    assert "variable None is not in" in refusal(Layer(path, "a", **PLACE))
    assert refusal(Layer(path, "a", variable="x")).endswith("set `variable` to one of g/t, g/u")
    with open_layer(Layer(path, "a", variable="g/u", **PLACE)) as layer:
        expected = np.arange(12).reshape(3, 4) * 0.5 + 10
        expected[np.isin(np.arange(12), (5, 6, 10, 11)).reshape(3, 4)] = np.nan
        np.testing.assert_array_equal(layer.read_all()[0], expected)
    one = hdf5(tmp_path / "one.h5", ONE)
    assert "is not in" in refusal(Layer(one, "a", variable="t", **PLACE))
    assert "remove `variable`" in refusal(Layer(one, "a", variable="t", **PLACE))
    assert "remove `reduce`" in refusal(Layer(one, "a", reduce="mean", **PLACE))


def test_init_asks_for_the_data_set(tmp_path):
    assert examine(Layer(hdf5(tmp_path / "a.h5", TWO), "a"), None).variables == ("g/t", "g/u")
    facts = examine(Layer(hdf5(tmp_path / "b.h5", AXES), "b"), None)
    assert facts.variables == ("/Grid/rain", "/Grid/snow")
    facts = examine(Layer(hdf5(tmp_path / "b.h5", AXES), "b", variable="/Grid/snow"), None)
    assert facts.error is None
    assert facts.grid.transform.f == -19.75


@pytest.mark.parametrize("cut", [10, 600, 1500])
def test_a_damaged_file_is_refused(tmp_path, cut):
    path = hdf5(tmp_path / "a.h5", ONE)
    path.write_bytes(path.read_bytes()[:cut])
    assert str(path) in refusal(Layer(path, "a", **PLACE))
