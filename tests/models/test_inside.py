"""What models know of place: location features by the formula, correlation by the kernel."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from spatioformer.common.earth import on_sphere
from spatioformer.models.baselines import GaussianProcess, Kriging, LocationKNN
from spatioformer.models.baselines.gaussian.kernel import Hyperparameters, covariance
from spatioformer.models.inside import (
    location_features,
    networks_in,
    penultimate,
    place_kernel,
    place_kind,
    published_features,
)
from spatioformer.models.stack import StackModel
from spatioformer.models.stacking import Reach
from spatioformer.models.tabular import TabularModel
from spatioformer.nn import PaperSpatioformer, Spatioformer
from tests.helpers.explored_run import BANDS, bundle, network
from tests.helpers.models import store

LOCATION = {"name": "sphere", "wavelengths": [8.0, 4.0]}
LON, LAT = np.array([140.0, 12.5]), np.array([-20.0, 41.5])


def tabular(regressor) -> TabularModel:
    return TabularModel(regressor, BANDS, 1)


def plots(count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(140, 150, count), rng.uniform(-40, -30, count)
    X = np.column_stack([rng.normal(size=count), lon, lat])
    return X, np.rint(20 + 3 * X[:, 0] + X[:, 1] - 145 + rng.normal(size=count))


class TestFeatures:
    def test_published_formula(self):
        """g_0: sines, w = 1, v = 100^(15/16); g_1: cosines, w = 100^(1/16), v = 100^(14/16)."""
        values = published_features().at(LON, LAT)
        assert values.shape == (2, 16)
        first = (math.sin(140.0) + math.sin(-20.0 / 100 ** (15 / 16))) / 2
        second = (math.cos(140.0 / 100 ** (1 / 16)) + math.cos(-20.0 / 100 ** (14 / 16))) / 2
        np.testing.assert_allclose(values[0, :2], [first, second], rtol=1e-6)

    def test_published_network(self):
        (own,) = location_features(bundle(network(PaperSpatioformer, width=4)))
        assert (own.name, own.features) == ("published", ["g0", "g1", "g2", "g3"])

    def test_dense_network(self):
        """FiLM is a linear map of the encoder's output, scale before shift."""
        made = network(location=LOCATION)
        groups = {group.name: group for group in location_features(bundle(made))}
        names = ["encoder", "scale", "shift", "head-scale", "head-shift", "published"]
        assert list(groups) == names
        features = groups["encoder"].at(LON, LAT)
        assert groups["encoder"].features[:3] == ["sin x, 8°", "sin x, 4°", "sin y, 8°"]
        linear = made.head_film.linear
        weight, bias = (part.detach().numpy() for part in (linear.weight, linear.bias))
        expected = features @ weight.T + bias
        np.testing.assert_allclose(groups["head-scale"].at(LON, LAT), expected[:, :8], rtol=1e-4)
        np.testing.assert_allclose(groups["head-shift"].at(LON, LAT), expected[:, 8:], rtol=1e-4)

    def test_without_location(self):
        made = bundle(network(Spatioformer))
        assert [group.name for group in location_features(made)] == ["published"]
        assert place_kind(made) == "none"

    def test_members_of_a_stack(self):
        part = bundle(network(Spatioformer, location=LOCATION))
        made = StackModel(
            {"forest": tabular(LinearRegression()), "net": part},
            np.full((2, 2), 0.5), Reach(1.0, 2.0), np.zeros((1, 2)),
        )  # fmt: skip
        assert [name for name, _ in networks_in(made)] == ["net"]
        assert place_kind(made) == "encoder"

    def test_input_of_the_head(self):
        made, rows = bundle(network(Spatioformer, patch=3, bands=2)), np.array([0, 3])
        made.bands, made.scaling = ["a", "b"], None
        plots = store(3)
        chips = plots.chips[rows], plots.lon[rows], plots.lat[rows]
        np.testing.assert_array_equal(penultimate(made, plots, rows), made.features(*chips))
        assert penultimate(bundle(network(PaperSpatioformer, patch=3)), plots, rows) is None


class TestKernel:
    KM = np.array([0.0, 100.0, 1000.0])

    def test_gaussian_process(self):
        """The correlation is the covariance of two plots of equal features over the variance."""
        X, y = plots()
        process = GaussianProcess().fit(X, y)
        kernel = place_kernel(tabular(process))
        X[:, 0] = X[0, 0]
        inputs, found = process._standardised(X), Hyperparameters(process.found_, 1)
        expected = covariance(inputs[:1], inputs, found)[0]
        points = kernel.points(*X[:, 1:].T)
        distance = np.linalg.norm(points - points[0], axis=1)
        total = sum(kernel.correlation(distance).values())
        np.testing.assert_allclose(total, expected / expected[0], rtol=1e-9)
        assert sum(share for share, _ in kernel.fields.values()) == pytest.approx(1)
        assert kernel.fields["response"][1] == np.inf
        assert place_kind(tabular(process)) == "process"

    def test_curves_are_over_kilometres(self):
        """100 km to the north of a place the curve has the correlation of the two places."""
        X, y = plots()
        kernel = place_kernel(tabular(GaussianProcess().fit(X, y)))
        middle = X[:, 1:].mean(axis=0)
        lat = middle[1] + np.array([0, 100 / 111.195])
        points = kernel.points(np.repeat(middle[0], 2), lat)
        parts = kernel.correlation(np.linalg.norm(points[1:] - points[:1], axis=1))
        (curve,) = (c for c in kernel.curves(self.KM) if (c.field, c.direction) == ("all", "north"))
        assert curve.values[0] == pytest.approx(1)
        assert curve.values[1] == pytest.approx(sum(parts.values())[0], rel=1e-3)

    def test_kriging(self):
        X, y = plots()
        kernel = place_kernel(tabular(Kriging(range_km=200.0, nugget_share=0.25).fit(X, y)))
        (curve,) = kernel.curves(self.KM)
        np.testing.assert_allclose(curve.values, 0.75 * np.exp(-self.KM / 200))
        assert (curve.field, curve.direction) == ("all", "any")
        np.testing.assert_array_equal(kernel.points(*X[:, 1:].T), on_sphere(X[:, 1:]))

    def test_others(self):
        X, y = plots()
        assert place_kernel(tabular(LinearRegression().fit(X, y))) is None
        assert place_kind(tabular(LinearRegression().fit(X, y))) == "columns"
        assert place_kind(tabular(LocationKNN().fit(X, y))) == "nearest"
