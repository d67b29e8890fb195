"""The course: pages in Spanish and English, whose numbers and figures are computed by models.

`build` writes the site. Each module in `chapters/` computes the facts of one chapter; `text/` holds
its prose in both languages; `prose` joins them and fails where they disagree. `tools` opens or
trains the models. `glossary` has the terms of the field.
"""
