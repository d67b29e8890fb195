"""Predictions as rows of a table, and their scores."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatioformer.files import write_text
from spatioformer.vision.images import Images
from spatioformer.vision.model import VisionModel

Row = dict[str, Any]


def prediction_rows(
    model: VisionModel, images: Images, predicted: NDArray[np.float32], top: int = 1
) -> list[Row]:
    """A row an image: its name, what it is where that is known, and what is predicted.

    Args:
        predicted: (n, O), as `VisionModel.predict` gives them.
        top: how many classes to name, the likeliest first.
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
    """Accuracy; or the RMSE, in the values' unit, and r2 = 1 - SSE/SST over all values."""
    if images.are_classified:
        return {"accuracy": float((predicted.argmax(1) == images.targets).mean())}
    error = np.float64(predicted) - images.targets
    spread = images.targets - images.targets.mean(0, dtype=np.float64)
    total = float((spread**2).sum())
    return {
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": 1 - float((error**2).sum()) / total if total > 0 else float("nan"),
    }


def write_rows(path: Path, rows: list[Row]) -> None:
    """A CSV file; floats with six significant digits."""
    write_text(path, as_csv(rows))


def as_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: f"{v:.6g}" if isinstance(v, float | np.floating) else v for k, v in row.items()}
        )
    return text.getvalue()


def attention_rows(
    model: VisionModel,
    images: Images,
    predicted: NDArray[np.float32],
    shares: NDArray[np.float32],
) -> list[Row]:
    """`prediction_rows`, and the patch most looked at: row and column from 1, and its share."""
    rows = prediction_rows(model, images, predicted)
    for row, share in zip(rows, shares, strict=True):
        y, x = np.unravel_index(share.argmax(), share.shape)
        row |= {"row": y + 1, "column": x + 1, "share": share[y, x]}
    return rows


def captions(model: VisionModel, predicted: NDArray[np.float32]) -> list[str]:
    """What is predicted, in few words: a class and its probability, or the values."""
    if model.task == "regression":
        return [", ".join(f"{value:.3g}" for value in answer) for answer in predicted]
    return [f"{model.labels[answer.argmax()]} ({answer.max():.0%})" for answer in predicted]
