"""Finished cells of `benchmarks.accuracy` -> docs/accuracy.csv and docs/accuracy.md.

Scores are pooled over all held-out plots outside those for tuning. Intervals are 95 % bootstrap
intervals over the large blocks, since plots of one block err together; with several seeds a plot's
squared error is the mean over them. A difference of r2 is taken draw by draw, so that what makes a
draw easy does not count.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.accuracy_plan import (
    BUILT_OF_TUNED,
    MODELS,
    NETWORK_SEEDS,
    OURS,
    SPLITS,
    why_not,
)
from benchmarks.datasets import DATASETS, DataSet

from spatioformer.common.files import write_text, writing
from spatioformer.evaluation.bootstrap import Bootstrap, central_interval
from spatioformer.models.baselines import TABULAR

LEVEL = 0.95
ALONE = "gaussian-process"
"""The strongest of the stack's members, and the distilled network's teacher: what is gained or lost
against it is reported separately."""


@dataclass(frozen=True)
class Errors:
    """Held-out errors of a model on a split, over the plots that all its seeds predicted.

    Attributes:
        rows: (n,), plots.
        squared, absolute: (n,), mean over the seeds.
        per_seed: r2 of each seed.
        seconds: of processor time, one seed.
        settings: JSON; those of several folds with " | " between them, if they differ.
    """

    rows: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray
    per_seed: tuple[float, ...]
    seconds: float
    settings: str


def collect(folder: Path, name: str, data: DataSet, split: str, model: str) -> Errors | None:
    """The finished folds of a model on a split; None unless some seed has all folds."""
    fold, richness = data.folds(split), data.wide.richness
    wanted = np.flatnonzero(~data.dev)
    needed = np.unique(fold[wanted])
    seeds = []
    for seed in range(NETWORK_SEEDS):
        files = [newest(folder, f"{name}_{split}_{model}_{seed}_{number}") for number in needed]
        if all(files):
            seeds.append([np.load(path) for path in files])
    if not seeds:
        return None
    predicted = np.empty((len(seeds), len(richness)))
    for out, parts in zip(predicted, seeds, strict=True):
        for part in parts:
            out[part["rows"]] = part["predicted"]
    error = predicted[:, wanted] - richness[wanted]
    sst = np.sum((richness[wanted] - richness[wanted].mean()) ** 2)
    seconds = sum(float(part["seconds"]) for parts in seeds for part in parts) / len(seeds)
    return Errors(
        rows=wanted,
        squared=np.mean(error**2, axis=0),
        absolute=np.mean(np.abs(error), axis=0),
        per_seed=tuple(1 - np.sum(error**2, axis=1) / sst),
        seconds=seconds,
        settings=" | ".join(dict.fromkeys(str(part["settings"]) for part in seeds[0])),
    )


def newest(folder: Path, stem: str) -> Path | None:
    """A cell's file, the newest where older code left others."""
    files = sorted(folder.glob(f"{stem}_*.npz"), key=lambda path: path.stat().st_mtime)
    return files[-1] if files else None


def interval(draws: np.ndarray) -> tuple[float, float]:
    """Central interval of a table's draws."""
    return central_interval(draws, LEVEL)


def rows_of(folder: Path, name: str, data: DataSet) -> list[dict[str, Any]]:
    """One row per split and model of one data set: scores, or the reason why there are none."""
    scored = np.flatnonzero(~data.dev)
    richness = data.wide.richness[scored]
    bootstrap = Bootstrap(richness, data.blocks[scored], np.random.default_rng(0))
    sst = np.sum((richness - richness.mean()) ** 2)
    table = []
    for split in SPLITS:
        finished: dict[str, Errors] = {}
        for model in MODELS:
            reason = why_not(data, split, model)
            errors = None if reason else collect(folder, name, data, split, model)
            row = {"data": name, "split": split, "model": model}
            if errors is None:
                table.append(row | {"status": f"n/a: {reason}" if reason else "not run"})
                continue
            finished[model] = errors
            low, high = interval(bootstrap.r2(errors.squared))
            table.append(
                row
                | {
                    "status": "done",
                    "n": len(scored),
                    "seeds": len(errors.per_seed),
                    "r2": 1 - errors.squared.sum() / sst,
                    "r2_low": low,
                    "r2_high": high,
                    "r2_sd_of_seeds": np.std(errors.per_seed) if len(errors.per_seed) > 1 else None,
                    "rmse": np.sqrt(errors.squared.mean()),
                    "mae": errors.absolute.mean(),
                    "cpu_seconds": errors.seconds,
                    "settings": errors.settings,
                }
            )
        add_differences(table, split, finished, bootstrap)
    return table


def add_differences(
    table: list[dict[str, Any]], split: str, finished: dict[str, Errors], bootstrap: Bootstrap
) -> None:
    """Fill in the difference of r2 of each of our models to the best baseline and to ALONE."""
    squared = {m: e.squared for m, e in finished.items()}
    baselines = [m for m in squared if m not in OURS]
    if not baselines:
        return
    best = min(baselines, key=lambda m: squared[m].sum())
    r2 = {row["model"]: row.get("r2") for row in table if row["split"] == split}
    for row in table:
        if row["split"] != split or row["model"] not in OURS or row["status"] != "done":
            continue
        row["best_baseline"] = best
        for other, name in ((best, "ahead"), (ALONE, "ahead_alone")):
            if other in squared and other != row["model"]:
                ours, theirs = bootstrap.r2(squared[row["model"]]), bootstrap.r2(squared[other])
                low, high = interval(ours - theirs)
                ahead = r2[row["model"]] - r2[other]
                row |= {name: ahead, f"{name}_low": low, f"{name}_high": high}


def write_tables(folder: Path, docs: Path, note: str = "") -> None:
    """Write accuracy.csv and accuracy.md, the latter with a note on what was run."""
    table = pd.DataFrame(
        [row for name, load in DATASETS.items() for row in rows_of(folder, name, load())]
    )
    with writing(docs / "accuracy.csv") as part:
        table.to_csv(part, index=False, float_format="%.4f")
    write_text(docs / "accuracy.md", markdown(table, note))
    done = (table["status"] == "done").sum()
    missing = (table["status"] == "not run").sum()
    print(f"{done} of {done + missing} rows are there; seconds of processor time in their cells:")
    print((table["cpu_seconds"] * table["seeds"]).groupby(table["data"]).sum().round().to_string())


def markdown(table: pd.DataFrame, note: str = "") -> str:
    """One table per data set: r2 with intervals, best in bold; then our models against the best."""
    lines = [
        "# Accuracy on held-out plots",
        "",
        f"Written by `python -m benchmarks.accuracy --table` on {date.today()}; "
        "[models.md](models.md#accuracy) describes the benchmark. [accuracy.csv](accuracy.csv) "
        "also has RMSE, MAE, seeds, settings and processor time. The tables give r2 = 1 - SSE/SST "
        "of pooled held-out predictions, with its 95 % bootstrap interval over blocks. The best "
        "model of each column is in bold. Trees have one seed and networks three; a cell with "
        "another number says so (*k seeds*). The best baseline is chosen by the scored plots "
        "themselves, which favours it.",
    ]
    if note:
        lines += ["", note]
    lines += _beforehand(table)
    for name, part in table.groupby("data", sort=False):
        rows = part.assign(model_=part["model"]).set_index(["model", "split"])
        shown = [s for s in SPLITS if (part["split"] == s).any()]
        best = part[part["status"] == "done"].groupby("split")["r2"].max()
        lines += ["", f"## {name}", "", "| model | " + " | ".join(shown) + " |"]
        lines += ["|---" * (len(shown) + 1) + "|"]
        started = part[part["status"] == "done"].groupby("model").size()
        for model in (m for m in MODELS if m in started):
            cells = [_cell(rows.loc[(model, split)], best.get(split)) for split in shown]
            lines.append(f"| {model} | " + " | ".join(cells) + " |")
        absent = [m for m in MODELS if m not in started]
        if absent:
            why = {m: part.loc[part["model"] == m, "status"].iloc[0] for m in absent}
            reasons = [f"{m} ({reason.removeprefix('n/a: ')})" for m, reason in why.items()]
            lines += ["", f"Not scored: {', '.join(reasons)}."]
        lines += _ahead(part)
    return "\n".join([*lines, ""])


def _beforehand(table: pd.DataFrame) -> list[str]:
    """The loss of r2 from choosing one model for all splits, before scores are known."""
    r2 = table[table["status"] == "done"].pivot(
        index=["data", "split"], columns="model", values="r2"
    )
    short = r2.rsub(r2.max(axis=1), axis=0)
    everywhere, imaged = short.dropna(axis=1), short.dropna()  # all splits; those of all models
    if len(short) < 2 or everywhere.empty or imaged.empty:
        return []
    lines = [
        *("", "## One model for all", ""),
        "The loss of r2 against the best model of a split: its mean over the splits, and its value "
        "on the worst split. This is the cost of choosing one model beforehand.",
        "",
        f"| model | {len(short)} splits: mean | worst | {len(imaged)} with imagery: mean | worst |",
        "|---" * 5 + "|",
    ]
    for model in imaged.mean().sort_values().index:
        columns = [everywhere.get(model), imaged[model]]
        cells = ["n/a | n/a" if c is None else f"{c.mean():.3f} | {c.max():.3f}" for c in columns]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return lines


def _cell(row: pd.Series, best: float | None) -> str:
    if row["status"] != "done":
        return row["status"]
    r2 = f"**{row['r2']:.3f}**" if row["r2"] == best else f"{row['r2']:.3f}"
    expected = 1 if row["model_"] in TABULAR else NETWORK_SEEDS
    few = "" if row["seeds"] == 1 else "s"
    note = "" if row["seeds"] == expected else f" *{row['seeds']:.0f} seed{few}*"
    return f"{r2} [{row['r2_low']:.2f}, {row['r2_high']:.2f}]{note}"


def _ahead(part: pd.DataFrame) -> list[str]:
    """Differences of r2 between our models and others, one line per model."""
    if "ahead" not in part:
        return []
    lines = ["", "Difference of r2 to the best baseline that was run on the split (paired):", ""]
    best = part["best_baseline"].map(lambda name: f" against {name}", na_action="ignore")
    lines += _differences(part, "ahead", best)
    alone = part[part["model"].isin(BUILT_OF_TUNED)]
    if "ahead_alone" in part and alone["ahead_alone"].notna().any():
        role = "strongest member of the stack and teacher of the distilled network"
        lines += ["", f"Difference of r2 to {ALONE}, the {role} (paired):", ""]
        lines += _differences(alone, "ahead_alone", pd.Series("", alone.index))
    return lines


def _differences(part: pd.DataFrame, name: str, note: pd.Series) -> list[str]:
    parts_of = defaultdict(list)
    for i, row in part[part[name].notna()].iterrows():
        between = f"[{row[f'{name}_low']:+.3f}, {row[f'{name}_high']:+.3f}]"
        parts_of[row["model"]].append(f"{row['split']} {row[name]:+.3f} {between}{note[i]}")
    return [f"- {model}: {'; '.join(parts)}" for model, parts in parts_of.items()]
