"""Which images a model was trained on: digests of their pixels, kept in the model's folder.

Images that training or its validation used score too well, so a score of `vision predict` leaves
them out, whatever file they come from.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_text
from spatioformer.vision.images import Images
from spatioformer.vision.predictions import scores

FILE = "training_images.txt"
DIGITS = 16  # hexadecimal, of a digest


def write_seen(folder: Path, *parts: Images) -> None:
    """Write the digests of the images of which a training made use, one a line.

    Raises:
        OutputError: the folder cannot be written.
    """
    digests = sorted({digest for images in parts for digest in _digests(images)})
    write_text(folder / FILE, "".join(f"{digest}\n" for digest in digests))


def unseen(folder: Path, images: Images) -> NDArray[np.bool_] | None:
    """Which images the training of a model did not use.

    Args:
        images: in the size and with the channels of the model.

    Returns:
        bool (n,); None: the folder does not say which images were used.

    Raises:
        ModelError: the list of images cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        used = set(path.read_text(encoding="ascii").split())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); train the model again") from error
    return np.array([digest not in used for digest in _digests(images)], bool)


def score_of_unseen(folder: Path, images: Images, predicted: NDArray[np.float32]) -> str:
    """The scores of the images that the training did not use, in a sentence.

    Args:
        images: with classes or values.
        predicted: (n, O), from `VisionModel.predict`.

    Raises:
        ModelError: as `unseen`.
    """
    new = unseen(folder, images)
    if new is not None and not new.any():
        return f"no score: the training of the model used all of these {len(images)} images"
    kept = slice(None) if new is None else new
    figures = ", ".join(f"{k} {v:.4g}" for k, v in scores(images[kept], predicted[kept]).items())
    if new is None:
        return (
            f"{figures} on these {len(images)} images; the model does not state its training "
            "images, so they may be among these"
        )
    if new.all():
        return f"{figures} on these {len(images)} images, of which the training used none"
    return (
        f"{figures} on {new.sum()} of these {len(images)} images; the training of the model used "
        "the others"
    )


def _digests(images: Images) -> list[str]:
    kind = f"{images.pixels.dtype} {images.pixels.shape[1:]}".encode()
    return [
        hashlib.sha256(kind + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:DIGITS]
        for pixels in images.pixels
    ]
