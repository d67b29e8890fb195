import sys

import numpy as np
import pytest

from spatioformer.archives import indices
from spatioformer.archives.collections import Band, Collection
from spatioformer.archives.indices import needed_bands, spectral_indices
from spatioformer.common.errors import ConfigError

spyndex = pytest.importorskip("spyndex")

LETTERS = {
    "coastal": "A",
    "blue": "B",
    "green": "G",
    "red": "R",
    "rededge1": "RE1",
    "rededge2": "RE2",
    "rededge3": "RE3",
    "nir": "N",
    "nir08": "N2",
    "swir1": "S1",
    "swir2": "S2",
    "thermal": "T",
}
WAVELENGTHS = {"green": 560, "red": 665, "nir": 842, "nir08": 865, "swir1": 1610, "swir2": 2190}


def a_collection(**letters: str) -> Collection:
    bands = tuple(
        Band(name, (name,), spyndex=letter, wavelength=WAVELENGTHS.get(name))
        for name, letter in letters.items()
    )
    return Collection(
        name="made-up",
        title="Made up",
        kind="scenes",
        catalogue="folder",
        endpoint="",
        id="made-up",
        bands=(*bands, Band("quality", ("quality",))),
    )


ALL = a_collection(**LETTERS)
VALUES = {
    name: np.random.default_rng(place).uniform(0.01, 0.6, (5, 7)).astype(np.float32)
    for place, name in enumerate(LETTERS)
}


def computable() -> list[str]:
    """Every index of which the collection has the bands."""
    names = []
    for name in spyndex.indices:
        try:
            needed_bands([name], ALL)
        except ConfigError:
            continue
        names.append(name)
    return names


def test_every_index_equals_spyndex():
    names = computable()
    assert len(names) > 200
    found = spectral_indices(VALUES, names, ALL)
    assert found.shape == (len(names), 5, 7)
    assert found.dtype == np.float32
    bands = {letter: VALUES[name].astype(np.float64) for name, letter in LETTERS.items()}
    constants = {
        key: value.default for key, value in spyndex.constants.items() if value.default is not None
    }
    constants |= {f"lambda{LETTERS[name]}": value for name, value in WAVELENGTHS.items()}
    for name, index in zip(names, found, strict=True):
        inputs = constants | bands
        if name.startswith("WCI"):
            inputs["epsilon"] = 1e-10
        for part in spyndex.indices[name].bands:
            if part.startswith("k") and len(part) == 3:
                a, b = bands[part[1]], bands[part[2]]
                kernel = {"a": a, "b": b, "sigma": (a + b) / 2}
                inputs[part] = spyndex.computeKernel("RBF", kernel)
        with np.errstate(all="ignore"):
            expected = np.broadcast_to(spyndex.computeIndex(name, inputs), (5, 7))
        expected = np.where(np.isfinite(expected), expected, np.nan).astype(np.float32)
        np.testing.assert_allclose(index, expected, rtol=1e-6, err_msg=name)


def test_ndvi_and_its_kernel():
    values = {"red": np.float32([[0.1, 0.1]]), "nir": np.float32([[0.5, 0.1]])}
    collection = a_collection(red="R", nir="N")
    ndvi, kernel = spectral_indices(values, ["NDVI", "kNDVI"], collection)
    np.testing.assert_allclose(ndvi, [[0.4 / 0.6, 0]], rtol=1e-6)
    np.testing.assert_allclose(kernel, np.tanh(ndvi.astype(float) ** 2), rtol=1e-5)  # its authors


def test_needed_bands_in_the_order_of_the_collection():
    assert needed_bands(["EVI", "NDMI"], ALL) == ("blue", "red", "nir", "swir1")
    assert needed_bands([], ALL) == ()


def test_nothing_finite_is_missing():
    values = {"red": np.float32([[0, np.nan, 0.2]]), "nir": np.float32([[0, 0.4, -0.2]])}
    found = spectral_indices(values, ["NDVI", "SR"], a_collection(red="R", nir="N"))
    assert np.isnan(found[0]).all()  # 0/0, no data, x/0
    assert np.isnan(found[1]).tolist() == [[True, True, False]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ndvi", "there is no spectral index 'ndvi'; did you mean NDVI"),
        ("NDWII", "did you mean NDWI"),
        ("__import__('os').abort()", "there is no spectral index"),
        ("NBR", r"NBR needs the band S2 \(.*\), which made-up lacks"),
        ("kEVI", "kEVI needs the input kNB"),
        ("RWI", "depends on the extent of an image"),
        ("NIRvP", r"NIRvP needs the number PAR \(Photosynthetically"),
    ],
)
def test_refuses(name, message):
    with pytest.raises(ConfigError, match=message):
        needed_bands([name], a_collection(red="R", nir="N", green="G"))


def test_says_how_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "spyndex", None)
    indices._spyndex.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'spatioformer\[stac\]'"):
        needed_bands(["NDVI"], ALL)
    monkeypatch.undo()
    indices._spyndex.cache_clear()
