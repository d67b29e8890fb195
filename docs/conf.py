"""How Sphinx builds the documentation; `make docs` writes it into site/."""

import sys
from pathlib import Path

import spatioformer

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Spatioformer"
author = "The Spatioformer authors"
copyright = "The Spatioformer authors, Apache-2.0"
release = version = spatioformer.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "commands",
    "configuration",
    "formulas",
    "reference",
]
suppress_warnings = [
    "misc.highlighting_failure",  # `csv`, and names by which a test finds a block
    "ref.python",  # napoleon takes the words before a colon in a property's docstring for its type
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "code"  # a name between single backticks, in docstrings as in Markdown

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 4
myst_dmath_allow_space = False  # "from $5 to $9" stays text
myst_dmath_allow_digits = False

autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented_params"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # the fields of a section are members too, and would be described twice

toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "Spatioformer"
html_static_path = ["_static"]
exclude_patterns = ["_ext"]
html_css_files = ["site.css"]
html_math_renderer = "svg"
html_sidebars = {"index": [], "gallery": []}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_show_search_summary = False  # a page that is opened from the disk may not read the others
html_favicon = "_static/icon.svg"  # else browsers ask a server for /favicon.ico
html_copy_source = False
html_theme_options = {
    "use_edit_page_button": False,
    "show_prev_next": True,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "icon_links": [],
}
