"""The seven stages of a run, each a function of a `Run`.

A stage reads its inputs, writes its outputs into the run folder and returns one line about what it
did. `run.py` decides whether a stage has to run at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spatioformer.common.files import read_json, remove, write_json, writing

if TYPE_CHECKING:
    from spatioformer.config.schema import RunConfig
    from spatioformer.run.runner import Run

UNCERTAINTY = ("uncertainty.json", "uncertainty.npz", "intervals.parquet")


@dataclass(frozen=True)
class Stage:
    """What a stage needs and makes.

    Attributes:
        needs: stages whose results it reads.
        sections: keys and properties of the configuration it depends on.
        inputs: files it reads from outside the run folder.
        outputs: files or folders it writes, relative to the run folder.
        begun: files it writes and a later stage adds to.
        kept: folders (patterns) of intermediate results, which a later call takes up.
    """

    run: Callable[["Run"], str]
    needs: tuple[str, ...]
    sections: tuple[str, ...]
    inputs: Callable[["RunConfig"], list[str]]
    outputs: tuple[str, ...]
    begun: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def plots(run: "Run") -> str:
    """Plot table -> plots.parquet, rejected.csv, plots.json."""
    from spatioformer.geo.plots.table import (
        TooManyRejected,
        read_plots,
        write_plots,
        write_rejected,
    )

    section = run.config.plots
    arguments = section.model_dump(exclude={"path", "species"})
    species = section.species.model_dump(exclude_none=True) if section.species else None
    try:
        intake = read_plots(
            section.path, **arguments, species=species, region=run.config.imagery.region
        )
    except TooManyRejected as error:
        write_rejected(error.rejected, run.folder)
        raise
    write_plots(intake, run.folder)
    write_json(run.folder / "plots.json", intake.summary)
    return f"{len(intake.table):,} plots, {len(intake.rejected):,} rows rejected"


def imagery(run: "Run") -> str:
    """Rasters -> imagery.tif, imagery.json."""
    from spatioformer.run.imagery import build_imagery

    summary = build_imagery(run.config.imagery, run.folder / "imagery.tif", run.console)
    write_json(run.folder / "imagery.json", summary)
    height, width = summary["height"], summary["width"]
    bands = f"{len(summary['bands'])} bands" if len(summary["bands"]) > 1 else "1 band"
    return f"{height} x {width} pixels, {bands}, {summary['pixels_to_predict']:,} to predict"


def chips(run: "Run") -> str:
    """plots.parquet x imagery.tif -> chips/; plots without a chip join rejected.csv.

    For a model that is taught on land without plots, chips of such land too.
    """
    import pandas as pd

    from spatioformer.common.errors import PlotError
    from spatioformer.geo.chips import UNLABELLED, cut_chips
    from spatioformer.geo.plots.table import read_table
    from spatioformer.geo.unlabelled import cut_unlabelled

    table = read_table(run.folder / "plots.parquet")
    lost = cut_chips(
        run.folder / "imagery.tif",
        table,
        run.config.model.patch,
        run.folder / "chips",
        console=run.console,
    )
    if run.config.distils:
        cut_unlabelled(
            run.folder / "imagery.tif",
            run.config.model.patch,
            run.folder / "chips" / UNLABELLED,
            console=run.console,
        )
    rejected = pd.read_csv(run.folder / "rejected.csv", dtype=str, keep_default_na=False)
    # The stage may run again: its own rows of last time go, those of the plots stage stay.
    rejected = rejected[rejected["stage"] != "chips"]
    own = pd.DataFrame(
        {
            "source_file": Path(run.config.plots.path).name,
            "source_line": lost["source_line"].astype(str),
            "plot_id": lost["plot_id"],
            "reason": lost["reason"],
            "stage": "chips",
            "lon": lost["lon"].astype(str),
            "lat": lost["lat"].astype(str),
            "richness": lost["richness"].astype(str),
        }
    )
    with writing(run.folder / "rejected.csv") as part:
        pd.concat([rejected, own], ignore_index=True).to_csv(part, index=False)
    read = read_json(run.folder / "plots.json")["read"]
    share, limit = (len(rejected) + len(own)) / max(read, 1), run.config.plots.max_rejected
    if share > limit:
        commonest = own["reason"].mode()[0] if len(own) else rejected["reason"].mode()[0]
        raise PlotError(
            f"{share:.0%} of the {read} plot rows cannot be used, more than the "
            f"{limit:.0%} that plots.max_rejected allows (most often: {commonest}); see "
            f"{run.folder / 'rejected.csv'}, then correct the table or raise the limit"
        )
    note = f", {len(own)} plot{'s' * (len(own) > 1)} without a chip" if len(own) else ""
    return f"{len(table) - len(lost):,} chips of {run.config.model.patch} pixels a side{note}"


def train(run: "Run") -> str:
    """chips/ -> model/, and of a network training.csv."""
    from spatioformer.run.map_model import facts_of, join_training
    from spatioformer.training import distributed

    checkpoint = run.folder / ".stages" / f"train-{run.fingerprint('train')[:16]}.checkpoint"
    distributed.call_to_train(str(checkpoint))
    model, store = join_training(run, checkpoint)
    model.facts = facts_of(run.config, model, store)
    model.save(run.folder / "model")
    for old in checkpoint.parent.glob("train-*.checkpoint"):
        remove(old)
    if not model.histories:
        for old in run.folder.glob("training*.csv"):  # a network's, which was there before
            old.unlink()
        return f"{run.config.map.model} on {len(store):,} plots"
    history = model.histories[0]
    against = " against its teacher" if "teacher" in model.facts else ""
    return (
        f"{len(history.rows)} epochs, best {history.best_epoch}, validation RMSE "
        f"{history.best_rmse:.2f} species{against}"
    )


FITTING = ("model", "train", "seed")
"""Of the configuration, what a model fitted to some of the plots depends on."""


def evaluate(run: "Run") -> str:
    """chips/ -> evaluation/ (predictions, and the uncertainty of the mapped model), scores.csv."""
    from spatioformer.run.evaluate import held_out_predictions, score_table

    folder = run.folder / "evaluation"
    jobs = folder / f"jobs-{run.fingerprint('evaluate', FITTING)[:16]}"
    predictions = held_out_predictions(
        run.folder / "chips", run.folder / "imagery.tif", run.config, jobs, console=run.console
    )
    with writing(folder / "predictions.parquet") as part:
        predictions.to_parquet(part, index=False)
    table = score_table(predictions)
    with writing(run.folder / "scores.csv") as part:
        table.to_csv(part, index=False)
    _calibrate(run, predictions)
    for old in set(folder.glob("jobs-*")) - {jobs}:
        remove(old)
    splits = ", ".join(s.name for s in run.config.evaluate.splits)
    return f"{len(run.config.evaluate.models)} models on {splits}"


def _calibrate(run: "Run", predictions) -> None:
    """evaluation/uncertainty.json, .npz and intervals.parquet; none where they cannot be had."""
    from spatioformer.common.errors import EvaluationError
    from spatioformer.run.evaluate import calibrate

    folder, found = run.folder / "evaluation", None
    try:
        found = calibrate(run.folder / "chips", predictions, run.config)
    except EvaluationError as error:
        run.console.say(f"  the map gets no intervals: {error}")
    if found is None:
        _remove(folder, UNCERTAINTY)  # those of a former run would be of another model
        return
    uncertainty, plots = found
    with writing(folder / "intervals.parquet") as part:
        plots.to_parquet(part, index=False)
    uncertainty.save(folder)


def _attach_uncertainty(run: "Run") -> None:
    """What the evaluation found goes with the model, wherever the model goes."""
    from spatioformer.models.uncertainty import Uncertainty

    if Uncertainty.is_in(run.folder / "evaluation"):
        Uncertainty.load(run.folder / "evaluation").save(run.folder / "model")
    else:
        _remove(run.folder / "model", UNCERTAINTY)


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def map_(run: "Run") -> str:
    """model/ x evaluation/ x imagery.tif -> map.tif, map.json."""
    from spatioformer.mapping import Resources, map_raster

    section = run.config.map
    _attach_uncertainty(run)
    summary = map_raster(
        run.folder / "model",
        run.folder / "imagery.tif",
        run.folder / "map.tif",
        samples=section.samples,
        sd_step=section.sd_step,
        seed=run.config.seed,
        resources=Resources(int(section.memory * 10**9), section.workers),
        overwrite=True,  # a run's own map; tiles of the same model and imagery are kept
        console=run.console,
    )
    if run.config.truth is not None:
        from spatioformer.geo.virtual.truth import compare

        summary["truth"] = compare(run.folder / "map.tif", run.config.truth.path)
    write_json(run.folder / "map.json", summary)
    if not summary["pixels"]:
        return "no pixel to predict"
    return f"{summary['pixels']:,} pixels, mean {summary['mean']:.1f} species"


def report(run: "Run") -> str:
    """Everything in the run folder -> report.html, map.png."""
    from spatioformer.report import write_report

    write_report(run.folder, run.config, run.console)
    return "report.html"


def _no_inputs(config: "RunConfig") -> list[str]:
    return []


def _plot_inputs(config: "RunConfig") -> list[str]:
    species = config.plots.species
    return [config.plots.path, *([species.path] if species and species.path else [])]


def _imagery_inputs(config: "RunConfig") -> list[str]:
    return [layer.path for layer in (*config.imagery.layers, *config.imagery.masks)]


def _truth_inputs(config: "RunConfig") -> list[str]:
    return [config.truth.path, config.truth.noise_path] if config.truth else []


STAGES: dict[str, Stage] = {
    "plots": Stage(
        plots,
        (),
        ("plots", "imagery.region"),
        _plot_inputs,
        ("plots.parquet", "plots.json"),
        begun=("rejected.csv",),
    ),
    "imagery": Stage(imagery, (), ("imagery",), _imagery_inputs, ("imagery.tif", "imagery.json")),
    "chips": Stage(chips, ("plots", "imagery"), ("model.patch", "distils"), _no_inputs, ("chips",)),
    "train": Stage(
        train,
        ("chips",),
        ("model", "train", "map.model", "seed", "name", "target", "truth"),
        _no_inputs,
        # Not the folder as a whole: the map stage puts the evaluation's findings into it.
        (
            *(f"model/{name}" for name in ("model.safetensors", "model.skops", "members")),
            *(f"model/{name}" for name in ("config.json", "README.md")),
            "training.csv",
        ),
    ),
    "evaluate": Stage(
        evaluate,
        ("chips",),
        # Not evaluate.workers: it changes the time, not the scores.
        (
            *FITTING,
            "map.model",
            *(
                f"evaluate.{key}"
                for key in (
                    *("models", "splits", "curve_sizes", "curve_models"),
                    *("level", "interval"),
                )
            ),
        ),
        _no_inputs,
        ("scores.csv", *(f"evaluation/{name}" for name in ("predictions.parquet", *UNCERTAINTY))),
        kept=("evaluation/jobs-*",),
    ),
    "map": Stage(
        map_,
        ("train", "imagery", "evaluate"),
        # Neither memory nor workers: a map does not depend on them.
        ("map.samples", "map.sd_step", "seed", "truth"),
        _truth_inputs,
        ("map.tif", "map.json"),
    ),
    "report": Stage(
        report,
        ("plots", "imagery", "chips", "train", "evaluate", "map"),
        ("title", "name", "target", "truth", "map.model"),
        _no_inputs,
        ("report.html", "map.png"),
    ),
}
