"""YAML with comments: it reads back as the same values, whatever the names of columns hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatioformer.config.yaml_text import parse_yaml
from spatioformer.setup.yaml_text import WIDTH, commented

VALUES = {
    "name": "a",
    "plots": {
        "path": "my plots: all.csv",
        "columns": {"lon": "Länge, E", "richness": "# S", "date": "yes"},
        "crs": "EPSG:4326",
    },
    "imagery": {
        "layers": [
            {"name": "env", "path": "env.tif", "crs": "EPSG:21781", "nodata": -9999},
            {"name": "b", "path": "b.tif"},
        ]
    },
    "evaluate": {
        "models": [f"a-model-with-a-long-name-{i}" for i in range(6)],
        "curve_sizes": [0.5, 1],
        "empty": [],
        "none": {},
    },
    "nothing": None,
}
COMMENTS = {
    "plots.crs": "why so",
    "imagery.layers.0.crs": "given",
    "imagery.layers.1": "the second",
    "evaluate.models": "too long\nfor one line",
}


def test_the_text():
    text = commented(VALUES, COMMENTS, {"plots": "a hint\nanother"})
    assert text == (
        """\
name: a

plots:
  path: 'my plots: all.csv'
  columns:
    lon: Länge, E
    richness: '# S'
    date: 'yes'
  crs: EPSG:4326  # why so
  # a hint
  # another

imagery:
  layers:
    - name: env
      path: env.tif
      crs: EPSG:21781  # given
      nodata: -9999
    - {name: b, path: b.tif}  # the second

evaluate:
  models:  # too long for one line
    - a-model-with-a-long-name-0
    - a-model-with-a-long-name-1
    - a-model-with-a-long-name-2
    - a-model-with-a-long-name-3
    - a-model-with-a-long-name-4
    - a-model-with-a-long-name-5
  curve_sizes: [0.5, 1]
  empty: []
  none: {}
nothing: null
"""
    )
    assert parse_yaml(text) == VALUES


def test_a_long_comment_stands_above():
    text = commented({"a": "b" * 50}, {"a": "c" * 60}, {})
    assert text == f"# {'c' * 60}\na: {'b' * 50}\n"
    assert max(map(len, text.splitlines())) <= WIDTH


scalars = st.one_of(
    st.text(max_size=30), st.integers(-(10**18), 10**18), st.booleans(), st.none(), st.floats(-1, 1)
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(min_size=1, max_size=12), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c d"]), trees, max_size=3), st.text())
def test_it_reads_back(values, comment):
    comments = {"a": comment, "b.0": comment, "c d.x": comment}
    assert parse_yaml(commented(values, comments, {"a": comment})) == (values or None)


@pytest.mark.parametrize(
    "name", ["a\nb", "# c", "x: y", "'q\"", "- d", "yes", "1e3", "é\u2028f", "=1+1", "{a}", " g "]
)
def test_any_name_of_a_column(name):
    values = {"plots": {"columns": {"richness": name}}, "l": [{"column": name}], name: 1}
    comments = {"plots.columns.richness": f"column {name}"}
    assert parse_yaml(commented(values, comments, {"l": name})) == values
