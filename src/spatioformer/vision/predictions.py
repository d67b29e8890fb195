"""Predictions as table rows, and their scores."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.files import write_text
from spatioformer.common.tables import harmless_row
from spatioformer.vision.images import Images
from spatioformer.vision.model import VisionModel

Row = dict[str, Any]


def prediction_rows(
    model: VisionModel, images: Images, predicted: NDArray[np.float32], top: int = 1
) -> list[Row]:
    """Make one row an image: its name, its true class or values if known, and the prediction.

    Args:
        predicted: (n, O), from `VisionModel.predict`.
        top: number of classes to name, the likeliest first.
    """
    rows = []
    for i, (name, answer) in enumerate(zip(images.names, predicted, strict=True)):
        row = {"image": name} | _truth(images, i)
        if model.task == "regression":
            row |= {
                f"predicted {label}": value
                for label, value in zip(model.labels, answer, strict=True)
            }
        else:
            likeliest = np.argsort(-answer, kind="stable")[:top]
            for rank, k in enumerate(likeliest):
                number = f" {rank + 1}" if rank else ""
                row |= {f"predicted{number}": model.labels[k], f"probability{number}": answer[k]}
        rows.append(row)
    return rows


def _truth(images: Images, i: int) -> Row:
    if images.targets is None:
        return {}
    if images.are_classified:
        return {"true": images.labels[images.targets[i]]}
    return {
        f"true {name}": value for name, value in zip(images.labels, images.targets[i], strict=True)
    }


def scores(images: Images, predicted: NDArray[np.float32]) -> dict[str, float]:
    """Accuracy of classes; or RMSE (unit of the target) and r2 = 1 - SSE/SST of each value."""
    if images.are_classified:
        return {"accuracy": float((predicted.argmax(1) == images.targets).mean())}
    assert images.targets is not None, "images are scored if their classes or values are known"
    results = {}
    columns = zip(images.labels, predicted.T, images.targets.T, strict=True)
    for label, guess, true in columns:
        name = f" of {label}" if len(images.labels) > 1 else ""
        sse = float(np.square(np.float64(guess) - true).sum())
        sst = float(np.square(np.float64(true) - true.mean(dtype=np.float64)).sum())
        results[f"rmse{name}"] = (sse / len(true)) ** 0.5
        results[f"r2{name}"] = 1 - sse / sst if sst > 0 else float("nan")
    return results


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write a CSV file; floats have six significant digits."""
    write_text(path, as_csv(rows))


def as_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    fields = list(harmless_row(rows[0]))
    writer = csv.DictWriter(text, fieldnames=fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            harmless_row(
                {k: f"{v:.6g}" if isinstance(v, float | np.floating) else v for k, v in row.items()}
            )
        )
    return text.getvalue()


def attention_rows(
    model: VisionModel,
    images: Images,
    predicted: NDArray[np.float32],
    shares: NDArray[np.float32],
) -> list[Row]:
    """`prediction_rows` with the patch of most attention: row and column from 1, and its share."""
    rows = prediction_rows(model, images, predicted)
    for row, share in zip(rows, shares, strict=True):
        y, x = np.unravel_index(share.argmax(), share.shape)
        row |= {"row": y + 1, "column": x + 1, "share": share[y, x]}
    return rows


def captions(model: VisionModel, predicted: NDArray[np.float32]) -> list[str]:
    """Short captions: the class and its probability, or the values."""
    if model.task == "regression":
        return [", ".join(f"{value:.3g}" for value in answer) for answer in predicted]
    return [f"{model.labels[answer.argmax()]} ({answer.max():.0%})" for answer in predicted]
