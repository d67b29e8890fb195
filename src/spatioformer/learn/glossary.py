"""Terms of the field in both languages; common/glossary.yaml has them."""

from spatioformer.common.glossary import Term, sorted_terms, terms

__all__ = ["Term", "sorted_terms", "terms"]
