"""The panel of an explained model: sentences and figures from numbers known beforehand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spatioformer.common.files import write_json
from spatioformer.report import explained as panel
from spatioformer.report import response, write_report
from spatioformer.report.drivers import drivers
from spatioformer.report.explained import explained
from spatioformer.report.results import Results
from tests.helpers import report_run
from tests.helpers.landscape import SIDE, write_raster

CURVE = {"value": [1.0, 2.0, 4.0], "local": [-2.0, 0.0, 3.5], "partial": [-1.0, 0.0, 1.0]}
EFFECT = {"varies": True, "places": 99, "mean": 20.0, "min": -3.25, "max": 1.5, "sd": 0.75}
RISES = {
    "spatioformer": {"red": 2.0, "imagery": 2.5, "location": -0.5},
    "random-forest": {"red": 1.0, "imagery": 1.5, "location": 0.01},
}


pytestmark = pytest.mark.usefixtures("blank_pictures")


def results(folder: Path, mapped: str = "spatioformer", **changes: Any) -> Results:
    """A run folder with the numbers that explain its model."""
    config = report_run.write(folder, map={"model": mapped})
    rows = [
        {"model": model, "split": "tiles", "group": group, "rise": rise, "sd": 0.1, "rmse": 10.0}
        for model, rises in RISES.items()
        for group, rise in rises.items()
    ]
    table = pd.DataFrame(rows).assign(plots=60)
    table.to_csv(folder / "evaluation" / "importance.csv", index=False)
    content = {"model": mapped, "plots": 60, "curves": {"red": CURVE}, "left_out": 0}
    write_json(folder / "explained.json", content | {"location": EFFECT} | changes)
    effect = np.tile(np.linspace(-3.25, 1.5, SIDE, dtype=np.float32), (SIDE, 1))
    write_raster(folder / "location_effect.tif", effect, nodata=np.nan)
    return Results(folder, config)


def test_the_sentences_hold_the_numbers_and_their_data(tmp_path):
    content = explained(results(tmp_path))
    assert content["importance"]["sentence"] == (
        "The RMSE of Spatioformer on held-out tiles of 2° is 10.00 species (60 plots). Shuffling "
        "the imagery among these plots raises it by 2.50 species. Shuffling the location among "
        "these plots lowers it by 0.50 species: this input misleads the model there."
    )
    caption = content["importance"]["picture"].caption
    assert "fitted without these plots" in caption
    assert "depends most on all bands together" in content["importance"]["picture"].alt
    assert content["curves"].alt.endswith("changes most with red, by 5.50 species.")
    assert "at 60 training plots" in content["curves"].caption
    assert content["location"]["sentence"] == (
        "With the mean imagery of the plots everywhere, Spatioformer predicts 20.0 species on "
        "average. The location alone changes that by −3.25 species to +1.50 species (standard "
        "deviation over the map 0.75 species)."
    )
    assert content["location"]["picture"].alt == (
        "Map of the effect of location on the prediction, from −3.25 species to +1.50 species."
    )


def test_a_small_change_is_called_small(tmp_path):
    sentence = explained(results(tmp_path, "random-forest"))["importance"]["sentence"]
    assert sentence.startswith("The RMSE of the random forest on")
    assert sentence.endswith("Shuffling the location among these plots changes it by less than 1%.")


def test_no_input_misleads_where_nothing_varies(tmp_path):
    run = results(tmp_path)
    path = tmp_path / "evaluation" / "importance.csv"
    pd.read_csv(path).assign(rise=0.0, rmse=0.0).to_csv(path, index=False)
    importance = explained(run)["importance"]
    assert importance is not None
    assert "misleads" not in importance["sentence"]
    assert importance["sentence"].count("changes it by less than 1%") == 2


def test_a_model_without_location_says_so_in_one_sentence(tmp_path):
    location = explained(results(tmp_path, "spatioformer-no-location"))["location"]
    assert location == {
        "sentence": "Location is not an input of Spatioformer without location, so there is no "
        "map of its effect.",
        "picture": None,
    }


def test_an_effect_that_is_the_same_everywhere(tmp_path):
    location = explained(results(tmp_path, location=EFFECT | {"varies": False}))["location"]
    assert location["picture"] is None
    assert location["sentence"].endswith("is the same everywhere: 20.0 species.")


def test_numbers_of_another_model_are_not_shown(tmp_path):
    content = explained(results(tmp_path, model="random-forest"))
    assert content["curves"] is None
    assert content["location"] == {"sentence": "", "picture": None}


def test_a_run_without_the_numbers_has_no_panel(tmp_path):
    config = report_run.write(tmp_path)
    assert explained(Results(tmp_path, config)) is None
    assert 'id="explained"' not in write_report(tmp_path, config).read_text("utf-8")


def test_the_page_holds_the_panel_once(tmp_path):
    made = results(tmp_path)
    html = write_report(tmp_path, made.config).read_text("utf-8")
    assert html.count('<section id="explained">') == 1
    assert html.count('<a href="#explained">') == 1
    for picture in ("importance", "curves", "location"):
        content = explained(made)[picture]
        alt = (content if picture == "curves" else content["picture"]).alt
        assert f'alt="{alt}"' in html


def test_many_inputs_keep_imagery_and_location(tmp_path, monkeypatch):
    monkeypatch.setattr(panel, "GROUPS", 3)
    many = {f"band{i}": 9.0 - i for i in range(8)} | {"imagery": 0.2, "location": 0.1}
    monkeypatch.setitem(RISES, "spatioformer", many)
    monkeypatch.setitem(RISES, "random-forest", many)
    drawn = []
    monkeypatch.setattr(
        response, "draw_rises", lambda groups, *rest: drawn.append(groups) or draw(groups, *rest)
    )
    picture = explained(results(tmp_path))["importance"]["picture"]
    assert drawn == [["band0", "all bands together", "location"]]
    assert picture.caption.endswith("7 more inputs are not shown.")


draw = response.draw_rises


def test_names_that_lose_their_middle_stay_different():
    names = [
        "red",
        "landcover: natural vegetation of the northern savannas, open woodland",
        "landcover: natural vegetation of the southern savannas, open woodland",
        "landcover: evergreen broadleaf forests and tall shrublands, with grasses below them",
    ]
    north = "landcover: natural\nvegetation of the\nnorthern savannas,\nopen woodland"
    assert response.fitted(names) == [
        "red",
        north,
        north.replace("northern", "southern"),
        "landcover: evergreen\nbroadleaf forests and\n…grasses below them",
    ]
    assert response._cut(names[1]) == response._cut(names[2])  # both would look the same


def test_the_figures_hold_the_numbers_and_no_small_text():
    figure = response.draw_curves({"red": CURVE, "a name of more than thirty letters": CURVE}, "x")
    axes = figure.axes[0]
    partial, local = (line.get_ydata() for line in axes.get_lines()[1:3])
    assert list(local) == CURVE["local"]
    assert list(partial) == CURVE["partial"]
    assert axes.get_lines()[1].get_linestyle() == "--"
    assert figure.axes[1].get_xlabel() == "a name of more than\nthirty letters"
    values = {"one": np.array([1.0, -2.0]), "other": np.array([3.0, 4.0])}
    bars = response.draw_rises(["a", "b"], values, "one", "species")
    assert [bar.get_width() for bar in bars.axes[0].patches] == [1, -2]
    assert list(bars.axes[0].get_lines()[0].get_xdata()) == [3, 4]
    assert bars.axes[0].get_xlabel() == "increase of the held-out RMSE, species"
    for drawing in (figure, bars):
        assert drawing.get_size_inches()[0] <= 4.4
        for each in drawing.axes:
            labels = [*each.get_xticklabels(), *each.get_yticklabels(), each.xaxis.label]
            assert min(label.get_fontsize() for label in labels) >= 9


OLD = {
    "split": "tiles",
    "rmse": 9.0,
    "importance": [
        {"group": group, "rise": 1.0, "sd": 0.1} for group in ("imagery", "red", "location")
    ],
    "dependence": {"red": {"value": [1.0, 2.0], "prediction": [10.0, 12.0]}},
    "sensitivity": {"km": [1.0, 10.0], "change": [0.1, 0.5]},
    "attention": None,
}


@pytest.mark.parametrize(
    ("measured", "pictures"),
    [
        (OLD | {"model": "spatioformer"}, 3),
        (OLD | {"model": "random-forest"}, 1),  # the curves were of Spatioformer
        (OLD | {"model": "random-forest", "curves": {"red": CURVE}}, 3),
    ],
)
def test_a_panel_of_drivers_is_of_one_model(tmp_path, measured, pictures):
    made = results(tmp_path)
    write_json(tmp_path / "drivers.json", measured)
    content = drivers(made)
    assert len(content["pictures"]) == pictures
    assert ("those of another model are not shown" in content["sentence"]) == (pictures == 1)
    name = "Spatioformer" if measured["model"] == "spatioformer" else "the random forest"
    assert all(name in picture.caption for picture in content["pictures"])
