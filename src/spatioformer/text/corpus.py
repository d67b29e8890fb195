"""Training text from plain files and SWORD modules, and its split into training and validation."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spatioformer.common.errors import SpatioformerError
from spatioformer.text.sword import read_sword

SPANISH = "spanish"  # name of the Reina-Valera Bible of 1909, where SWORD has it
MODULE = "spaRV1909eb.conf"
BLOCKS = 200  # stretches into which a corpus is cut; some of them are held out


class CorpusError(SpatioformerError):
    """A text that cannot be read, or is too short for its use."""


def read_corpus(paths: Sequence[str | Path]) -> str:
    """Read and join texts, with an empty line between them.

    Args:
        paths: UTF-8 text files, `.conf` files of SWORD modules (see `read_sword`), or "spanish"
            (see `spanish_module`).

    Raises:
        CorpusError: a file cannot be read, or there is no text in all of them.
    """
    files = [spanish_module() if str(path) == SPANISH else Path(path) for path in paths]
    text = "\n\n".join(_read(path) for path in files)
    if not text.strip():
        names = ", ".join(str(path) for path in paths)
        raise CorpusError(f"the corpus {names} is empty; give files with text in them")
    return text


def spanish_module() -> Path:
    """The Reina-Valera Bible of 1909 (Spanish, public domain) of Debian's sword-text-sparv.

    SWORD_PATH names the folder of the modules, as for other programs that read them.

    Raises:
        CorpusError: it is not installed.
    """
    folder = Path(os.environ.get("SWORD_PATH") or "/usr/share/sword")
    path = folder / "mods.d" / MODULE
    if not path.is_file():
        raise CorpusError(
            f"the Spanish corpus {path} is not installed; run apt-get install sword-text-sparv, or "
            "give a text file of your own"
        )
    return path


def _read(path: Path) -> str:
    try:
        if path.suffix == ".conf":
            return read_sword(path)
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 text (byte {error.start}); convert it first, for instance with "
            "iconv -f latin1 -t utf8"
        ) from error
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path} cannot be read ({error}); give a UTF-8 text file or the .conf file of a SWORD "
            "module"
        ) from error


def split(text: str, share: float, seed: int) -> tuple[str, str]:
    """Split a text into training text and held-out text for validation.

    The text is cut at white space into `BLOCKS` stretches of about equal length. Held-out
    stretches are drawn at random, because the end of a book is not representative of it.

    Args:
        share: share of the text to hold out, in (0, 1).
        seed: random seed for the choice of stretches.
    """
    cuts = _cuts(text)
    blocks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    count = min(max(1, round(share * len(blocks))), len(blocks) - 1)
    held_out = set(np.random.default_rng(seed).choice(len(blocks), count, replace=False).tolist())
    training = "".join(block for i, block in enumerate(blocks) if i not in held_out)
    return training, "".join(block for i, block in enumerate(blocks) if i in held_out)


def _cuts(text: str) -> list[int]:
    """Positions just before white space, near the multiples of len(text) / BLOCKS."""
    cuts = set()
    for i in range(1, BLOCKS):
        cut = i * len(text) // BLOCKS
        while cut < len(text) and not text[cut].isspace():
            cut += 1
        cuts.add(cut)
    return sorted(cuts - {0, len(text)})
