"""Read images as arrays: folders of image files, .npz files, single files, scikit-learn's digits.

Shapes: n images, C channels, Y x X pixels, rows top first; O values an image.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from spatioformer.common.errors import ImageryError

DIGITS = "digits"
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
)
MODES = {1: "L", 3: "RGB"}
"""Pillow's modes of 8-bit images, by their channels."""

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""Exceptions that Pillow raises for damaged files; its PNG reader raises SyntaxError."""


@dataclass(frozen=True)
class Form:
    """Conversion of image files to arrays; arrays from .npz files are used unchanged.

    Attributes:
        size: (Y, X) to which every image is resized; None: all images must have one size.
        channels: 1 or 3, to which every image is converted, transparency over white; None: all
            images must be grey, or all RGB.
        resample: Pillow's number of the interpolation: 2 bilinear, 3 bicubic.
        crop: share of the shorter side that is kept, around the centre and in the shape of `size`;
            None: the whole image is resized to `size`.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    resample: int = 2
    crop: float | None = None


@dataclass(frozen=True)
class Images:
    """Images with names, and with classes or values if known.

    Attributes:
        pixels: (n, C, Y, X), uint8 in 0..255, or float32 in any unit.
        names: (n,), names for messages and tables.
        targets: class numbers, int64 (n,); or values, float32 (n, O); or None where unknown.
        labels: names of the classes or values.
    """

    pixels: NDArray
    names: list[str]
    targets: NDArray | None = None
    labels: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: NDArray | slice) -> "Images":
        targets = None if self.targets is None else self.targets[rows]
        names = np.asarray(self.names, object)[rows].tolist()
        return Images(self.pixels[rows], names, targets, self.labels)

    @property
    def are_classified(self) -> bool:
        return self.targets is not None and self.targets.dtype.kind == "i"


def read_images(source: str | Path, form: Form | None = None) -> Images:
    """Read images from `source`.

    Args:
        source: "digits"; an .npz file; an image file; or a folder, either of images or of one
            folder of images a class.
        form: sizes and channels of image files.

    Raises:
        ImageryError: there is no source, a file cannot be read, or images differ in size.
    """
    if str(source) == DIGITS:
        return read_digits()
    path = Path(source)
    if path.is_dir():
        return _read_folder(path, form or Form())
    if not path.exists():
        raise ImageryError(
            f"{path} does not exist; give a folder, an .npz file, an image, or the word {DIGITS}"
        )
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    return Images(_stack([path], form or Form()), [str(path)])


def join(parts: Sequence[Images]) -> Images:
    """Join several sources into one, without their targets.

    Raises:
        ImageryError: their sizes, channels or number types differ.
    """
    first = parts[0].pixels
    for part in parts[1:]:
        if part.pixels.shape[1:] != first.shape[1:] or part.pixels.dtype != first.dtype:
            raise ImageryError(
                f"{part.names[0]} is {_described(part.pixels)}, {parts[0].names[0]} is "
                f"{_described(first)}; give sources that are alike, or one at a time"
            )
    pixels = np.concatenate([part.pixels for part in parts])
    return Images(pixels, [name for part in parts for name in part.names])


def read_digits() -> Images:
    """Load the 1797 handwritten digits of scikit-learn, 8 x 8 pixels, scaled to [0, 1].

    Source: Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Images(
        (digits.images[:, None] / 16).astype(np.float32),  # counts of 4 x 4 cells, 0..16
        [f"digit {i}" for i in range(len(digits.target))],
        digits.target.astype(np.int64),
        [str(name) for name in digits.target_names],
    )


def _read_folder(folder: Path, form: Form) -> Images:
    """Read a folder with one folder a class, or with images without classes."""
    kinds = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    loose = _image_files(folder)
    if not kinds and not loose:
        raise ImageryError(f"{folder} holds no images; give a folder with one folder a class")
    if kinds and loose:
        raise ImageryError(
            f"{folder} holds both images ({loose[0].name}) and folders ({kinds[0].name}); put "
            "every image into the folder of its class"
        )
    if loose:
        return Images(_stack(loose, form), [str(path) for path in loose])
    files = {kind: _image_files(kind) for kind in kinds}
    empty = [kind for kind in kinds if not files[kind]]
    if empty:
        raise ImageryError(f"{empty[0]} holds no images; put some into it or remove it")
    paths = [path for kind in kinds for path in files[kind]]
    targets = np.repeat(np.arange(len(kinds)), [len(files[kind]) for kind in kinds])
    names = [str(path) for path in paths]
    return Images(_stack(paths, form), names, targets, [kind.name for kind in kinds])


def _image_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _stack(paths: Sequence[Path], form: Form) -> NDArray[np.uint8]:
    """Read image files as one array (n, C, Y, X)."""
    first = _read_file(paths[0], form)
    pixels = np.empty((len(paths), *first.shape), np.uint8)
    for i, path in enumerate(paths):
        image = _read_file(path, form)
        if len(image) != len(first):
            raise ImageryError(
                f"{path} is {_colour(image)}, {paths[0]} is {_colour(first)}; convert all "
                "with --channels 1 or --channels 3"
            )
        if image.shape != first.shape:
            raise ImageryError(
                f"{path} is {_size(image)} pixels, {paths[0]} is {_size(first)}; resize all with "
                "--size"
            )
        pixels[i] = image
    return pixels


def _read_file(path: Path, form: Form) -> NDArray[np.uint8]:
    """Read one image file, (C, Y, X)."""
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)  # orientation noted by the camera
            image.load()
    except UNREADABLE as error:
        raise ImageryError(
            f"{path} cannot be read as an image ({error}); replace it or take it away"
        ) from error
    image = _converted(image, path, form.channels)
    if form.size is not None:
        rows, columns = form.size
        if form.crop is None:
            image = image.resize((columns, rows), form.resample)
        else:
            bleed = (1 - form.crop) / 2
            image = ImageOps.fit(image, (columns, rows), form.resample, bleed)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _converted(image: Image.Image, path: Path, channels: int | None) -> Image.Image:
    """Convert an image to mode L or RGB.

    Raises:
        ImageryError: it has another mode and no conversion is set, or has more than 8 bits.
    """
    if image.mode[0] in "IF":
        raise ImageryError(
            f"{path} has mode {image.mode}, numbers that do not fit 8 bits; give such images as "
            "floats in an .npz file"
        )
    if channels is not None:
        if image.mode not in MODES.values():  # transparency, palettes, CMYK
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert(MODES[channels])
    if image.mode not in MODES.values():
        raise ImageryError(
            f"{path} has mode {image.mode}, neither grey (L) nor RGB; convert all with "
            "--channels 1 or --channels 3"
        )
    return image


def _read_npz(path: Path) -> Images:
    """Read `images` (n, Y, X[, C]) with `labels` (n,) or `values` (n,) or (n, O)."""
    try:
        # Opened here, because np.load leaves a file open if it is not an archive.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ImageryError(f"{path} cannot be read ({error}); save it with np.savez") from error
    pixels = _npz_pixels(path, arrays.get("images"))
    names = [f"{path}[{i}]" for i in range(len(pixels))]
    if "labels" in arrays:
        labels = _one_each(path, "labels", arrays["labels"], len(pixels), dims=(1,))
        if labels.dtype.kind not in "iubUS":
            raise ImageryError(
                f"the labels in {path} are {labels.dtype}; give whole numbers or words, or call "
                "what is to be predicted `values`"
            )
        kinds, targets = np.unique(labels.astype(str), return_inverse=True)
        if labels.dtype.kind in "iub":  # 2 before 10
            kinds, targets = np.unique(labels, return_inverse=True)
        return Images(pixels, names, targets.astype(np.int64), [str(kind) for kind in kinds])
    if "values" in arrays:
        values = _one_each(path, "values", arrays["values"], len(pixels), dims=(1, 2))
        values = _finite(path, "values", values).reshape(len(pixels), -1)
        count = values.shape[1]
        return Images(
            pixels,
            names,
            values,
            [f"value {i + 1}" if count > 1 else "value" for i in range(count)],
        )
    return Images(pixels, names)


def _npz_pixels(path: Path, images: NDArray | None) -> NDArray:
    """Convert `images` of an .npz file to (n, C, Y, X), uint8 or float32."""
    if images is None:
        raise ImageryError(f"{path} has no array called images; save it as np.savez(images=...)")
    if images.ndim not in (3, 4) or not images.size:
        raise ImageryError(
            f"the images in {path} have the shape {images.shape}; give (n, rows, columns) or (n, "
            "rows, columns, channels)"
        )
    pixels = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    return np.ascontiguousarray(_finite(path, "images", pixels))


def _one_each(path: Path, name: str, array: NDArray, count: int, dims: tuple[int, ...]) -> NDArray:
    if array.ndim not in dims or len(array) != count or not array.size:
        raise ImageryError(
            f"the {name} in {path} have the shape {array.shape} for {count} images; give one each"
        )
    return array


def _finite(path: Path, name: str, array: NDArray) -> NDArray[np.float32]:
    if array.dtype.kind not in "iufb":
        raise ImageryError(f"the {name} in {path} are {array.dtype}; give numbers")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ImageryError(
            f"the {name} in {path} hold {np.count_nonzero(~np.isfinite(array))} numbers that are "
            "not finite; leave such images out or fill them"
        )
    return array


def _described(pixels: NDArray) -> str:
    return f"{len(pixels[0])} x {_size(pixels[0])} ({pixels.dtype})"


def _size(image: NDArray) -> str:
    return f"{image.shape[1]} x {image.shape[2]}"


def _colour(image: NDArray) -> str:
    return "grey" if len(image) == 1 else "in colour"
