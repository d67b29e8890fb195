"""The table of `benchmarks.accuracy_table` as Markdown: docs/accuracy.md."""

import json
from collections import defaultdict
from datetime import date

import numpy as np
import pandas as pd
from benchmarks.accuracy_plan import (
    CANDIDATES,
    DISTILLED,
    OURS,
    SCORED,
    SPLITS,
    STACK_OF_NETWORKS,
)
from benchmarks.accuracy_ranks import Ranks, alt_text, complete

ALONE = "gaussian-process"
"""The strongest of the stack's members, and the distilled network's teacher: what is gained or lost
against it is reported separately."""

ROLE = "strongest member of the stack and teacher of the distilled network"
BLOCKS = ("small-blocks", "large-blocks")


def markdown(table: pd.DataFrame, note: str = "", picture: Ranks | None = None) -> str:
    """All models at a glance; then one section per data set, its best models in bold."""
    lines = [
        "# Accuracy on held-out plots",
        "",
        f"Written by `python -m benchmarks.accuracy --table` on {date.today()}; "
        "[measured.md](measured.md#accuracy) describes the benchmark and sums it up. "
        "[accuracy.csv](accuracy.csv) also has RMSE, MAE, seeds, the settings that each model "
        "chose, and the day of each row. The tables give r2 = 1 - SSE/SST of pooled held-out "
        "predictions, with its 95 % bootstrap interval over blocks. The best model of each column "
        "is in bold. Models have one seed; a cell with more says so (*3 seeds*). A cell with † is "
        "a former row, on the same plots and folds, whose model was tuned once a data set; its "
        "predictions are not kept, so it has no paired differences. The best baseline of a split "
        "is chosen by the scored plots themselves, which favours it.",
        "",
        "`auto` is what `map.model: auto` chooses among the default candidates, without networks "
        "fitted to plots; `auto-of-all` chooses among all models of a run but those. The choice is "
        "part of what is validated ([evaluation.md](evaluation.md#which-model-makes-the-map)): "
        "nine tenths of the blocks choose, the others score. `-defaults` are forests with "
        "scikit-learn's defaults.",
    ]
    if note:
        lines += ["", note]
    lines += at_a_glance(table, picture)
    for name, part in table.groupby("data", sort=False):
        lines += ["", f"## {name}", "", *_scores(part), *_intervals(part), *_ahead(part)]
    return "\n".join([*lines, ""])


def at_a_glance(table: pd.DataFrame, picture: Ranks | None) -> list[str]:
    """Ranks, losses against the best model, differences to baselines, coverage and cost."""
    scored = table[table["status"].isin(["done", "former"])]
    r2 = scored.pivot(index=["data", "split"], columns="model", values="r2").astype(float)
    if len(r2) < 2:
        return []
    best = r2.drop(columns=[name for name in CANDIDATES if name in r2]).max(axis=1)
    everywhere = complete(table)
    done = table[table["status"] == "done"].set_index(["data", "split"])
    count = len(everywhere)
    shared = set(everywhere.columns)
    lines = [
        *("", "## All models at a glance", ""),
        f"Ranks and losses are means over the {count} splits that all of these models finished; "
        "the other columns are of all splits of a model, whose number is in the column *splits*. "
        "*Loss*: r2 of the best single model of the split, former rows included, minus r2 of this "
        "one; the cost of choosing one model beforehand. *Ahead* and *behind*: splits on which r2 "
        "differs clearly from that of the best baseline (95 %, paired). *Coverage*: of 90 % "
        "intervals in blocks. *Seconds*: of processor time, mean of a split of that model.",
        "",
        "| model | mean rank | mean loss | worst | splits | ahead | behind | coverage | seconds |",
        "|---" * 9 + "|",
    ]
    rank = {} if picture is None else dict(picture.mean)
    order = sorted(SCORED, key=lambda name: (rank.get(name, np.inf), SCORED.index(name)))
    for model in (name for name in order if name in set(done["model"])):
        rows = done[done["model"] == model]
        cells = [f"{rank[model]:.1f}" if model in rank else ""]
        if model in shared:
            loss = best[everywhere.index] - everywhere[model]
            cells += [f"{loss.mean():.3f}", f"{loss.max():.3f}"]
        else:
            cells += ["", ""]
        cells += [str(len(rows)), *_clearly(rows, model)]
        blocks = rows[rows.index.get_level_values("split").isin(BLOCKS)]
        cells += [f"{blocks['coverage'].mean():.3f}" if len(blocks) else ""]
        cells += [f"{rows['cpu_seconds'].mean():.0f}"]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    lines += _imaged(r2)
    if picture is not None:
        lines += [
            *("", f"![{alt_text(picture)}](images/accuracy_ranks.png)", ""),
            f"Mean ranks over {picture.splits} splits (Friedman's test: p = {picture.p:.1g}). A "
            "grey bar joins models whose ranks do not differ by Nemenyi's critical difference at "
            "the 5 % level (Demsar 2006, JMLR 7:1). Solid blue lines are models of this project, "
            "dashed ones baselines. The splits of one data set share plots, so they are not "
            "independent, and the true critical difference is larger.",
        ]
    return lines


def _clearly(rows: pd.DataFrame, model: str) -> list[str]:
    """Numbers of splits on which a model of ours is clearly ahead of and behind the baseline."""
    if model not in OURS or "ahead_low" not in rows:
        return ["", ""]
    low, high = rows["ahead_low"].astype(float), rows["ahead_high"].astype(float)
    return [str(int((low > 0).sum())), str(int((high < 0).sum()))]


def _imaged(r2: pd.DataFrame) -> list[str]:
    """The loss of networks and of the rest on the splits that the distilled network has."""
    names = [m for m in (*CANDIDATES, DISTILLED, "stack", ALONE, STACK_OF_NETWORKS) if m in r2]
    part = r2[names].dropna()
    if DISTILLED not in r2 or not len(part):
        return []
    best = r2.drop(columns=[name for name in CANDIDATES if name in r2]).max(axis=1)
    loss = part.rsub(best[part.index], axis=0)
    means = ", ".join(f"{m} {loss[m].mean():.3f} ({loss[m].max():.3f})" for m in names)
    return ["", f"Mean (worst) loss on the {len(part)} splits with imagery and all of: {means}."]


def _scores(part: pd.DataFrame) -> list[str]:
    """r2 with intervals, a row a model and a column a split, and seconds; what was not scored."""
    rows = {(row["model"], row["split"]): row for _, row in part.iterrows()}
    shown = [s for s in SPLITS if (part["split"] == s).any()]
    scored = part[part["status"].isin(["done", "former"])]
    single = scored[~scored["model"].isin(CANDIDATES)]
    best = single.groupby("split")["r2"].max()
    lines = ["| model | " + " | ".join(shown) + " | seconds |", "|---" * (len(shown) + 2) + "|"]
    started = set(scored["model"])
    for model in (m for m in SCORED if m in started):
        cells = [_cell(rows[model, split], best.get(split)) for split in shown]
        seconds = scored.loc[scored["model"] == model, "cpu_seconds"].astype(float).mean()
        lines.append(f"| {model} | " + " | ".join(cells) + f" | {seconds:.0f} |")
    absent = [m for m in SCORED if m not in started]
    if absent:
        why = {m: str(part.loc[part["model"] == m, "status"].iloc[0]) for m in absent}
        reasons = [f"{m} ({reason.removeprefix('n/a: ')})" for m, reason in why.items()]
        lines += ["", f"Not scored: {', '.join(reasons)}."]
    choices = part[(part["status"] == "done") & part["model"].isin(CANDIDATES)]
    for name, chosen in choices.groupby("model", sort=False):
        picks = [f"{row['split']} {_choice(row['settings'])}" for _, row in chosen.iterrows()]
        lines += ["", f"Chosen by {name}: {', '.join(picks)}."]
    return lines


def _choice(settings: str) -> str:
    """Name of the chosen model."""
    return str(json.loads(settings)["chosen"])


def _cell(row: pd.Series, best: float | None) -> str:
    if row["status"] not in ("done", "former"):
        return row["status"]
    r2 = f"**{row['r2']:.3f}**" if row["r2"] == best else f"{row['r2']:.3f}"
    note = "" if row["seeds"] == 1 else f" *{row['seeds']:.0f} seeds*"
    mark = " †" if row["status"] == "former" else ""
    return f"{r2} [{row['r2_low']:.2f}, {row['r2_high']:.2f}]{note}{mark}"


def _intervals(part: pd.DataFrame) -> list[str]:
    """Coverage and interval score of the 90 % intervals, a row a model and a column a split."""
    done = part[part["status"] == "done"]
    if "coverage" not in done or done.empty:
        return []
    shown = [s for s in SPLITS if (done["split"] == s).any()]
    lines = [
        *("", "Coverage of 90 % intervals in percent / their interval score in species:", ""),
        "| model | " + " | ".join(shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    rows = done.set_index(["model", "split"])
    coverage, score = rows["coverage"].to_dict(), rows["interval_score"].to_dict()
    for model in (m for m in SCORED if m in set(done["model"])):
        keys = [(model, split) for split in shown]
        cells = [
            f"{100 * coverage[key]:.0f} / {score[key]:.1f}" if key in rows.index else ""
            for key in keys
        ]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return lines


def _ahead(part: pd.DataFrame) -> list[str]:
    """Differences of r2 between our models and others, one line per model."""
    if "ahead" not in part or part["ahead"].isna().all():
        return []
    lines = ["", "Difference of r2 to the best baseline that was run on the split (paired):", ""]
    best = part["best_baseline"].map(lambda name: f" against {name}", na_action="ignore")
    lines += _differences(part, "ahead", best)
    alone = part[part["model"].isin(["stack", STACK_OF_NETWORKS, DISTILLED])]
    if "ahead_alone" in part and alone["ahead_alone"].notna().any():
        lines += ["", f"Difference of r2 to {ALONE}, the {ROLE} (paired):", ""]
        lines += _differences(alone, "ahead_alone", pd.Series("", alone.index))
    return lines


def _differences(part: pd.DataFrame, name: str, note: pd.Series) -> list[str]:
    parts_of = defaultdict(list)
    scored = part[part[name].notna()]
    for (_, row), against in zip(scored.iterrows(), note[scored.index], strict=True):
        between = f"[{row[f'{name}_low']:+.3f}, {row[f'{name}_high']:+.3f}]"
        parts_of[row["model"]].append(f"{row['split']} {row[name]:+.3f} {between}{against}")
    return [f"- {model}: {'; '.join(parts)}" for model, parts in parts_of.items()]
