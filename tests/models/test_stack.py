"""The stack as a bundle: every weight of it comes back, and members work only where they count."""

from dataclasses import replace

import numpy as np
import pytest

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json, write_json
from spatioformer.mapping.predictor import identity
from spatioformer.models.network import NetworkModel
from spatioformer.models.registry import STACKED
from spatioformer.models.stacking import Reach, to_nearest
from spatioformer.models.store import load
from spatioformer.models.tabular import TabularModel
from tests.helpers.models import fitted, scene, seen, shrink

pytestmark = pytest.mark.usefixtures("small_forests")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """The stack, its plots, and its bundle's folder."""
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        model, plots, _ = fitted("spatioformer-stacked", dropout=0.0)
    model.facts = {"name": "stack (x)"}
    rows = np.arange(len(plots))
    return model, plots, rows, model.save(tmp_path_factory.mktemp("stack") / "model")


@pytest.mark.slow
def test_a_stack_comes_back_as_it_was(stack):
    model, plots, rows, folder = stack
    bundle = load(folder)
    assert list(bundle.parts) == list(STACKED)
    np.testing.assert_array_equal(bundle.shares, model.shares)
    np.testing.assert_array_equal(bundle.known, model.known)
    assert bundle.reach == model.reach
    expected = model.predict_rows(plots, rows)
    np.testing.assert_allclose(bundle.predict(*seen(plots)), expected, rtol=0, atol=1e-9)
    tile = bundle.predict_tile(*scene())
    np.testing.assert_allclose(tile[plots.table["row"], plots.table["col"]], expected, rtol=1e-5)
    assert np.isnan(tile).sum() == 9
    assert (bundle.draws, bundle.quantile_pair, bundle.attends) == (None, None, None)
    assert not bundle.is_dense


def test_every_weight_and_place_of_a_stack_matters(stack):
    """Were one of them lost on the way, the test before would see it."""
    _, plots, _, folder = stack
    bundle = load(folder)
    right = bundle.predict(*seen(plots))
    for change in (
        {"shares": bundle.shares[::-1]},
        {"known": bundle.known[:5]},
        {"reach": replace(bundle.reach, far=bundle.reach.far * 2)},
        {"parts": dict(reversed(bundle.parts.items()))},
    ):
        wrong = replace(bundle, **change).predict(*seen(plots))
        assert np.abs(wrong - right).max() > 1e-6, change


NEAR, FAR = "location-knn", "extra-trees"


def test_a_member_without_a_share_is_not_computed(stack, monkeypatch):
    _, plots, _, folder = stack
    bundle = load(folder)
    bundle.shares = np.array([[n == NEAR for n in STACKED], [n == FAR for n in STACKED]], float)
    forest, near = (bundle.parts[name].predict(*seen(plots)) for name in (FAR, NEAR))
    far = bundle.reach.share(to_nearest(plots.coordinates, bundle.known))
    monkeypatch.delattr(NetworkModel, "over_chips")
    for name in {*STACKED} - {NEAR, FAR, "spatioformer"}:
        bundle.parts[name].regressor = None
    found = bundle.predict(*seen(plots))
    np.testing.assert_allclose(found, (1 - far) * near + far * forest, rtol=1e-12)


def test_a_member_is_asked_only_where_it_counts(stack, monkeypatch):
    """The nearest plots' mean near plots, trees far from them, and both between."""
    bundle, (data, valid, lon, lat), asked = load(stack[3]), scene(), {}
    bundle.shares = np.array([[n == NEAR for n in STACKED], [n == FAR for n in STACKED]], float)
    bundle.reach = Reach(5_000.0, 25_000.0)
    whole = TabularModel.over_tile

    def spied(self, tile):
        asked[self.architecture] = tile.wanted
        return whole(self, tile)

    monkeypatch.setattr(TabularModel, "over_tile", spied)
    found = bundle.predict_tile(data, valid, lon, lat)
    inner = (slice(1, -1), slice(1, -1))
    places = np.column_stack([lon[inner].ravel(), lat[inner].ravel()])
    far = bundle.reach.share(to_nearest(places, bundle.known)).reshape(28, 28)
    for name, counts in (("LocationKNN", far < 1), ("TunedForest", far > 0)):
        np.testing.assert_array_equal(asked[name], counts & valid[inner])
        assert 50 < counts.sum() < 750
    alone = bundle.parts[FAR].predict_tile(data, valid, lon, lat)
    np.testing.assert_array_equal(found[far == 1], alone[far == 1])


@pytest.mark.slow
def test_the_identity_of_a_stack_is_of_all_its_files(stack):
    folder, before = stack[3], identity(stack[3])
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.suffix == ".md":
            continue
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert identity(folder) != before, path
        path.write_bytes(content)
    assert identity(folder) == before
    live = load(folder)
    assert live.identity() == load(folder).identity()
    parts = dict(live.parts) | {"location-knn": live.parts["extra-trees"]}
    assert replace(live, parts=parts).identity() != live.identity()


def test_a_stack_of_other_files_is_refused(stack, tmp_path):
    bundle = load(stack[3])
    folder = bundle.save(tmp_path / "model")
    described = read_json(folder / "config.json")
    write_json(folder / "config.json", described | {"members": list(STACKED)[:3]})
    with pytest.raises(ModelError, match=r"does not fit its config\.json"):
        load(folder)
    write_json(folder / "config.json", described | {"members": ["none"]})
    with pytest.raises(ModelError, match="is not a model folder"):
        load(folder)
    write_json(folder / "config.json", described | {"kind": "oracle"})
    with pytest.raises(ModelError, match="does not describe a model that this version"):
        load(folder)
    write_json(folder / "config.json", described)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is damaged or cut short"):
        load(folder)
