"""The verdict in words: the decision first, then the errors it rests on, in both languages."""

import pytest

from spatioformer.evaluation.verdict import CARE, REFUSE, USE
from spatioformer.viewer import verdict


@pytest.mark.parametrize(
    ("made", "level", "start"),
    [
        (USE, "use", "Use this map."),
        (CARE, "care", "Use this map with care here."),
        (REFUSE, "do-not-use", "Do not use this map to tell places apart."),
    ],
)
def test_the_decision_comes_first_and_the_errors_follow(made, level, start):
    content = {"verdict": made, "skill": {"mae": 5.235, "apart": 15.91}}
    found = verdict.to_json(content, "species")
    assert found["level"] == level
    assert found["sentence"]["en"] == (
        f"{start} A prediction misses a plot that the model had not seen by 5.2 species on "
        "average. Two places whose predictions differ by less than 16 species cannot be told apart."
    )
    assert "5,2 especies de media. No se pueden distinguir" in found["sentence"]["es"]


@pytest.mark.parametrize(
    ("size", "words"), [(146.2, "146 species"), (9.97, "10 species"), (0.123, "0.12 species")]
)
def test_errors_have_two_digits_and_no_power_of_ten(size, words):
    found = verdict.to_json({"verdict": CARE, "skill": {"mae": size, "apart": size}}, "species")
    for language, unit in (
        ("en", words),
        ("es", words.replace(".", ",").replace("species", "especies")),
    ):
        assert found["sentence"][language].count(unit) == 2


@pytest.mark.parametrize("content", [{}, {"verdict": None}, {"skill": {"mae": None}}])
def test_without_a_verdict_it_says_so(content):
    found = verdict.to_json(content, "species")
    assert found["level"] is None
    assert found["sentence"]["en"] == "The run has no verdict on this map."
