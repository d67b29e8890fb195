"""Panels, their tables and their picture: the numbers shown are those of the trace."""

import numpy as np
import pytest
import torch

from spatioformer.nn import GPT, DenseSpatioformer
from spatioformer.nn.trace import trace_gpt
from spatioformer.nn.trace_chips import trace_chip
from spatioformer.tracing.panels import Panel, layer_panels, neighbour_panels, ranking
from spatioformer.tracing.picture import FONT, WIDTH, draw
from spatioformer.tracing.terminal import print_panels

NAMES = ["uno", "dos", "tres"]


@pytest.fixture(scope="module")
def trace():
    torch.manual_seed(0)
    return trace_gpt(GPT(9, 5, 12, 3, 2).eval(), torch.tensor([3, 1, 4]))


def flat(rows):
    return {panel.title: panel for row in rows for panel in row}


def test_panels_of_a_layer_and_head(trace):
    panels = flat(layer_panels(trace, 2, 3, NAMES))
    np.testing.assert_array_equal(
        panels["Queries, layer 2, head 3"].values, trace["layer2.queries"][2]
    )
    pattern = panels["Pattern"].values
    assert np.isnan(pattern[np.triu_indices(3, 1)]).all()
    np.testing.assert_allclose(np.nansum(pattern, axis=1), 1, rtol=1e-6)
    mixture = np.nan_to_num(pattern) @ panels["Values"].values
    np.testing.assert_allclose(panels["Mixture of the values"].values, mixture, atol=1e-6)
    assert panels["MLP, hidden layer"].values.shape == (3, 48)
    assert list(panels)[-1] == "Output of layer 2"


@pytest.mark.parametrize("side", [3, 5])
def test_panels_of_a_dense_layer_are_of_the_centre(side):
    torch.manual_seed(0)
    network = DenseSpatioformer(2 * side - 1, 2, width=8, heads=2, layers=2).eval()
    lon = lat = torch.zeros(2 * side - 1, 2 * side - 1, dtype=torch.float64)
    chip = torch.randn(2 * side - 1, 2 * side - 1, 2)
    recorded = trace_chip(network, chip, lon, lat)
    panels = flat(neighbour_panels(recorded, 1, 2))
    pattern = panels["Pattern"].values
    assert pattern.shape == (side, side)
    assert pattern.sum() == pytest.approx(1, abs=1e-6)
    values = panels["Values of the neighbours"]
    assert len(values.rows) == side * side
    np.testing.assert_allclose(
        panels["Mixture of the values"].values[0], pattern.reshape(-1) @ values.values, atol=1e-6
    )


def test_tables_fit_80_columns_and_keep_signs(trace, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    large = Panel("Large", "raw", np.array([[-123456.0, 0.25]]), ["a"], ["x", "y"])
    shares = ranking("Next", "softmax", NAMES, np.array([0.2, 0.7, 0.1]), "probability", 2)
    print_panels([[large, shares], *layer_panels(trace, 1, 1, NAMES)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "-1.2e+05" in text
    assert "\x1b" not in text
    (dos, uno) = (line for line in lines if "%" in line)
    assert dos.split()[:2] == ["dos", "70.00%"]
    assert uno.split()[:2] == ["uno", "20.00%"]
    assert dos.count("█") == 30
    query = trace["layer1.queries"][0, 0, 0]
    start = lines.index("3. Queries, layer 1, head 1")
    assert lines[start + 3].split()[:3] == ["1", "uno", f"{query:.3f}"]


def test_a_tall_table_says_what_it_leaves_out(capsys):
    tall = Panel("Tall", "x", np.zeros((40, 300)), [str(i) for i in range(40)])
    print_panels([[tall]])
    text = capsys.readouterr().out
    assert "40 x 300, here columns 1-" in text
    assert "here rows 1-24" in text
    names = [str(i) for i in range(197)]
    print_panels([[Panel("Wide", "x", np.zeros((197, 197)), names, names, "share")]])
    text = capsys.readouterr().out
    assert "197 x 197, here columns 1-24, here rows 1-24" in text
    assert len(text.splitlines()) < 100


def test_the_picture(trace):
    image = Panel("Image", "", np.zeros((4, 6)), list("abcd"), list("uvwxyz"), "amount",
                  kind="image", cuts=(2, 3))  # fmt: skip
    bars = Panel("Bars", "", np.array([[1.0], [-2.0]]), ["a", "b"], ["x"], kind="bars")
    figure = draw([[image, bars], *layer_panels(trace, 1, 2, NAMES)], "a title")
    assert figure.get_size_inches()[0] == WIDTH
    pieces = list(figure.subfigs)
    titles = [axes.get_title(loc="left") for part in pieces for axes in part.axes]
    numbered = [title for title in titles if title]
    assert [title.split(".")[0] for title in numbered] == [str(n) for n in range(1, 13 + 1)]
    texts = [t for part in pieces for axes in part.axes for t in axes.texts]
    assert min(t.get_fontsize() for t in texts) >= FONT
    scores = trace["layer1.scores"][1]
    assert f"{scores[2, 0]:.2f}" in [t.get_text() for t in texts]
    assert len(pieces[0].axes[0].lines) == 3  # one cut between rows, two between columns


def test_a_few_huge_values_do_not_hide_the_others():
    values = np.random.default_rng(0).normal(size=(10, 100))
    values[0, 0] = 500
    names = [str(i) for i in range(10)]
    figure = draw([[Panel("Outlier", "x", values, names)]], "")
    image, bar = figure.subfigs[0].axes[0].images[0], figure.subfigs[0].axes[1]
    assert 2 < image.norm.vmax < 5
    assert image.colorbar.extend == "both"
    assert bar.get_ylabel() == "no unit"
    figure = draw([[Panel("Even", "x", np.eye(10), names)]], "")
    assert figure.subfigs[0].axes[0].images[0].colorbar.extend == "neither"
