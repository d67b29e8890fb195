"""The two languages of the course and the glossary."""

from dataclasses import dataclass
from typing import Literal

Language = Literal["es", "en"]
LANGUAGES: tuple[Language, ...] = ("es", "en")


@dataclass(frozen=True)
class Text:
    """The same words in both languages."""

    es: str
    en: str

    def of(self, language: Language) -> str:
        return self.es if language == "es" else self.en
