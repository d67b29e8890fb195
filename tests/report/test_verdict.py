"""The verdict in words: made from the numbers, for a reader who does not know the terms."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spatioformer.common import style
from spatioformer.evaluation.verdict import CARE, REFUSE, USE
from spatioformer.report import map_pictures, verdict, write_report
from spatioformer.report.downloads import write_figures
from spatioformer.report.picture import Picture
from spatioformer.report.results import Results
from spatioformer.run.summary import print_summary
from tests.helpers import report_run


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "my run", report_run.write(tmp_path / "my run"))


def changed(results: Results, **skill) -> dict:
    made = results.verdict
    assert made.skill is not None
    name = skill.pop("verdict", made.verdict)
    broken = skill.pop("broken", ())
    known = {key: skill.pop(key) for key in ("inside", "coverage") if key in skill}
    made = replace(made, skill=replace(made.skill, **skill), verdict=name, broken=broken, **known)
    results.__dict__["verdict"] = made
    return verdict.verdict(results)


def test_numbers_are_those_of_the_mapped_model_on_the_map_like_split(results):
    rows = results.predictions.query("model == 'spatioformer' and split == 'tiles'")
    error = rows["predicted"] - rows["observed"]
    page = verdict.verdict(results)
    r2 = 1 - (error**2).sum() / ((rows["observed"] - rows["observed"].mean()) ** 2).sum()
    assert page["key"][0][0] == f"{r2:.2f}"
    assert page["key"][1][0] == f"{error.abs().mean():.1f}"
    differences = np.abs(error.to_numpy()[:, None] - error.to_numpy())[
        np.triu_indices(len(error), 1)
    ]
    apart = np.quantile(differences, 0.9)
    assert page["key"][2][0] == f"{apart:.0f}"
    assert f"predictions differ by less than {apart:.0f} species cannot be told apart" in (
        " ".join(page["error"])
    )
    assert page["json"]["split"] == "tiles"
    assert "random" not in " ".join([*page["why"], *page["error"], str(page["key"])])


@pytest.mark.parametrize(
    ("name", "words", "mode"),
    [
        (USE, "Use it.", "use"),
        (CARE, "Use it with care here.", "care"),
        (REFUSE, "Do not use this map to tell places apart.", "refuse"),
    ],
)
def test_three_verdicts(results, name, words, mode):
    page = changed(results, verdict=name)
    assert (page["verdict"], page["mode"]) == (words, mode)


def test_without_a_map_the_verdict_is_on_predictions(results, monkeypatch):
    monkeypatch.setattr(results, "has_imagery", False)
    monkeypatch.setitem(results.map, "pixels", 0)
    page = changed(results, verdict=REFUSE)
    assert page["verdict"] == "Do not use these predictions to tell places apart."
    assert page["why"][0].startswith("To test the model, it predicted 60 plots in whole tiles")
    assert page["json"]["mapped"] is False


@pytest.mark.parametrize(
    ("apart", "sentence", "key"),
    [
        (15.6, "by less than 16 species cannot", ["16"]),
        (0.42, "by less than 0.4 species cannot", ["0.4"]),
        (0.0, None, []),
        (float("nan"), None, []),
    ],
)
def test_a_smallest_difference_of_nothing_is_left_out(results, apart, sentence, key):
    page = changed(results, apart=apart)
    said = [one for one in page["error"] if "cannot be told apart" in one]
    assert [sentence in one for one in said] == [True] * len(key)
    assert [value for value, label, _ in page["key"] if "smallest difference" in label] == key


def test_a_run_without_intervals_says_what_it_lacks(results):
    said = " ".join(changed(results)["where_not"])
    assert results.uncertainty is None
    assert "none were calibrated, so the error of a single place is not known" in said


def test_a_negative_r2_is_called_bad_and_never_good(results):
    page = changed(results, r2=-0.22, r2_low=-0.3, r2_high=-0.1, verdict=REFUSE)
    assert page["key"][0][::2] == ("−0.22", "bad")
    assert "no better than giving every place the mean of all plots (r2 −0.22, 90% interval" in (
        " ".join(page["why"])
    )
    assert changed(results, r2=0.6)["key"][0][2] == ""


@pytest.mark.parametrize(
    ("broken", "known", "words"),
    [
        ("low skill", {}, "A map that can be used explains 50% or more."),
        ("doubtful skill", {}, "too uneven to say whether the map is better"),
        ("uncertain skill", {}, "too few or too uneven to be sure"),
        ("outside", {"inside": 0.7}, "30% of the mapped land has conditions unlike"),
        ("coverage", {"coverage": 0.8}, "intervals held only 80% of the held-out plots"),
        ("random folds", {}, "No plots were held out in space"),
        ("unlikely skill", {}, "it may be chance"),
    ],
)
def test_each_broken_rule_is_a_reason(results, broken, known, words):
    page = changed(results, broken=(broken,), **known)
    assert words in " ".join(page["why"])
    assert words not in " ".join(changed(results, broken=())["why"])


@pytest.mark.parametrize(("name", "is_pale"), [(REFUSE, True), (CARE, False)])
def test_a_refused_map_is_pale_and_its_picture_says_why(results, name, is_pale, monkeypatch):
    drawn = []
    monkeypatch.setattr(style, "files", lambda figure, zoom: (drawn.append(figure), b"", b"")[1:])
    changed(results, verdict=name)
    picture = map_pictures.mean_map(results)
    for figure in drawn:
        axes = figure.axes[0]
        assert (axes.get_title(loc="left") == map_pictures.REFUSED) == is_pale
        land = axes.images[0].get_array()[results.mean.mapped]
        darkest = int(land.sum(axis=-1).min())  # of viridis: 68 + 1 + 84
        assert (darkest > 0.55 * 3 * 255) == is_pale
    assert ("All colours are pale, because of the verdict." in picture.caption) == is_pale


def test_commands_have_the_paths_of_the_run(results):
    commands = [command for _, command in verdict.next_steps(results)]
    assert f"spatioformer drivers '{results.folder}'" in commands
    assert commands[0] == f"spatioformer view '{results.folder}'"


def test_random_folds_alone_never_give_the_best_verdict(tmp_path):
    evaluate = report_run.EVALUATE | {"splits": report_run.SPLITS[:1], "curve_sizes": []}
    results = Results(tmp_path, report_run.write(tmp_path, evaluate=evaluate))
    assert results.verdict.verdict == CARE
    assert "random folds" in results.verdict.broken


def test_the_verdict_is_stored_and_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(style, "files", lambda figure, zoom: (b"png", b"svg"))
    config = report_run.write(tmp_path)
    write_report(tmp_path, config)
    content = json.loads((tmp_path / "verdict.json").read_text())
    assert content["verdict"] == Results(tmp_path, config).verdict.verdict
    print_summary(tmp_path, stages=("evaluate", "report"))
    printed = capsys.readouterr().out
    assert f"verdict: {content['verdict']}" in printed
    assert f"r2 {content['skill']['r2']:.2f}" in printed
    assert "cannot be told apart" in printed


def test_figures_of_a_former_report_are_removed(tmp_path):
    def picture(name):
        return Picture(name, b"png", b"svg", 1, 1, "", "", pd.DataFrame({"a": [1.5]}))

    write_figures(tmp_path, [picture("one"), picture("two")])
    (tmp_path / "notes.txt").write_text("a user's")
    write_figures(tmp_path, [picture("two")])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"two.png", "two.svg", "two.csv", "notes.txt"}
    assert (tmp_path / "two.csv").read_text() == "a\n1.5\n"
