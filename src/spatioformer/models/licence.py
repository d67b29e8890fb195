"""The licence of maps, a file in a model folder that the runner writes."""

from pathlib import Path

from spatioformer.common.errors import ModelError

LICENCE = "licence.txt"
"""Not JSON and no weights, so the identity of the model does not depend on it."""

LONGEST = 1000  # characters


def licence_in(folder: Path) -> str | None:
    """The SPDX name that a model folder states for its maps; None: it states none.

    Raises:
        ModelError: the file is no short text.
    """
    path = folder / LICENCE
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error}); remove or replace it") from error
    if not text or len(text) > LONGEST:
        raise ModelError(
            f"{path} holds {'nothing' if not text else f'more than {LONGEST} characters'}; write "
            "an SPDX name such as CC-BY-4.0 into it, or remove it"
        )
    return text
