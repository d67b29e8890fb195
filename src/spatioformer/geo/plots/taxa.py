"""Names of species, compared without regard to Unicode form, spaces and case."""

import unicodedata

from spatioformer.geo.plots.source import quoted


def fold(name: str) -> str:
    """The form in which names are compared, see `Taxa`."""
    visible = "".join(mark for mark in name if unicodedata.category(mark) != "Cf")
    folded = unicodedata.normalize("NFKC", visible).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


class Taxa(dict[str, str]):
    """Map from a name as written to the form in which names are compared; folds each name once.

    Names are equal if they agree after Unicode normalisation NFKC, removal of invisible format
    characters (such as the zero-width space), folding of white space and folding of case.
    """

    def __init__(self) -> None:
        super().__init__()
        self._spellings: dict[str, list[str]] = {}

    def __missing__(self, name: str) -> str:
        folded = fold(name)
        self[name] = folded
        self._spellings.setdefault(folded, []).append(name)
        return folded

    @property
    def names(self) -> set[str]:
        """Distinct names in the form in which they are compared."""
        return set(self._spellings)

    @property
    def joined(self) -> int:
        """Number of spellings that were joined to another one."""
        return len(self) - len(self._spellings)

    def spelling(self, folded: str) -> str:
        """The first spelling of a name."""
        return self._spellings[folded][0]

    def notes(self, file_name: str) -> list[str]:
        """Sentence for the report on joined names, with up to three examples."""
        if not self.joined:
            return []
        several = [names for names in self._spellings.values() if len(names) > 1]
        pairs = [" = ".join(quoted(name) for name in names[:2]) for names in several[:3]]
        return [
            f"species names of {file_name} that differ from another one only in spaces, case or "
            f"Unicode form, and were joined with it: {self.joined}, such as {', '.join(pairs)}"
        ]
