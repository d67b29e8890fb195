"""Terms of the field for the pages: those of the glossary."""

from typing import Any

from spatioformer.common.glossary import terms


def to_json() -> dict[str, Any]:
    """Content of `terms.json`: identifier -> `name` and `meaning`, each in English and Spanish."""
    return {
        term.identifier: {
            "name": {"en": term.name.en, "es": term.name.es},
            "meaning": {"en": term.meaning.en, "es": term.meaning.es},
        }
        for term in terms()
    }
