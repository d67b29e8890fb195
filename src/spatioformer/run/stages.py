"""The seven stages of a run, each a function of a `RunContext`.

A stage reads its inputs, writes its outputs into the run folder and returns one line that says what
it did. `runner.py` decides whether a stage has to run at all.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spatioformer.common.cache import Cache
from spatioformer.common.files import read_json, write_json, writing
from spatioformer.config.learning import AUTO, CHOICE
from spatioformer.run.ahead import KEPT, Training, beside, checkpoints, take, training
from spatioformer.run.context import RunContext
from spatioformer.run.rejected import write_rows
from spatioformer.run.source_stages import with_sources
from spatioformer.run.stage import Stage, no_inputs
from spatioformer.run.tiles import TILES, decide_tiles

if TYPE_CHECKING:
    from spatioformer.config.schema import RunConfig

OF_MAP = ("map.png", "location_effect.tif")
"""Results of the report that a run without imagery does not have."""

UNCERTAINTY = ("uncertainty.json", "uncertainty.npz", "intervals.parquet")
EVALUATED = (
    *("predictions.parquet", "importance.csv", TILES, "choice.json", "candidates.csv"),
    *UNCERTAINTY,
)


def plots(run: RunContext) -> str:
    """Plot table -> plots.parquet, plots.json, and the rejected rows."""
    from spatioformer.geo.plots.table import TooManyRejected
    from spatioformer.run.plot_table import read_with_covariates

    try:
        intake = read_with_covariates(run.config)
    except TooManyRejected as error:
        write_rows(error.rejected, run.rejected("plots"))
        raise
    write_rows(intake.rejected, run.rejected("plots"))
    with writing(run.folder / "plots.parquet") as part:
        intake.table.to_parquet(part, index=False)
    write_json(run.folder / "plots.json", intake.summary)
    for note in intake.summary["notes"]:
        run.console.say(f"  note: {note}")
    return f"{len(intake.table):,} plots, {len(intake.rejected):,} rows rejected"


def imagery(run: RunContext) -> str:
    """Rasters -> imagery.tif, imagery.json."""
    from spatioformer.run.imagery import build_imagery
    from spatioformer.run.outline import places_in

    assert run.config.imagery is not None  # else the run has no such stage
    places = places_in(run.folder / "plots.parquet")
    summary = build_imagery(
        run.config.imagery, run.folder / "imagery.tif", run.console, places=places
    )
    write_json(run.folder / "imagery.json", summary)
    height, width = summary["height"], summary["width"]
    bands = f"{len(summary['bands'])} bands" if len(summary["bands"]) > 1 else "1 band"
    return f"{height} x {width} pixels, {bands}, {summary['pixels_to_predict']:,} to predict"


def chips(run: RunContext) -> str:
    """plots.parquet x imagery.tif -> chips/, and the rejected plots, which have no chip.

    For a model that is taught on land without plots, chips of such land too. Without imagery, the
    covariates of the plot table are the bands of chips of one pixel.
    """
    from spatioformer.geo.cutting import cut_chips
    from spatioformer.geo.plots.table import read_table
    from spatioformer.run.chip_store import chips_message, reject, teach_elsewhere
    from spatioformer.run.covariates import imagery_covariates, table_features

    table = read_table(run.folder / "plots.parquet")
    if run.config.imagery is None:
        features = table_features(run, table)
        return f"{len(table):,} plots, {features}"
    bands = read_json(run.folder / "imagery.json")["bands"]
    extra = imagery_covariates(run, table, bands)
    lost = cut_chips(
        run.folder / "imagery.tif",
        extra.table,
        run.config.model.patch,
        run.folder / "chips",
        measured=extra.measured,
        facts=extra.facts,
        console=run.console,
    )
    if run.config.distils:
        teach_elsewhere(run, extra.measured is not None)
    reject(run, lost)
    return chips_message(run, len(table), len(lost))


def train(run: RunContext) -> str:
    """chips/ -> model/, and of a network training.csv."""
    from spatioformer.common.allocation import keep_freed_memory

    key = run.fingerprint("train")
    message = take(run, key)
    if message is None:
        from spatioformer.run.map_model import train_model  # loads torch

        keep_freed_memory()
        message = train_model(run, checkpoints(run.folder).path(key), run.folder)
    checkpoints(run.folder).clear()
    return message


FITTING = ("model", "train", "seed")
"""Of the configuration, what a model fitted to some of the plots depends on."""


def evaluate(run: RunContext) -> str:
    """chips/ -> evaluation/ (predictions, importance, uncertainty of the map), scores.csv."""
    import pandas as pd

    from spatioformer.geo.chips import open_chips
    from spatioformer.models.resolved import resolved_with
    from spatioformer.run.choice import choose, choose_ahead
    from spatioformer.run.evaluate import held_out_importance, held_out_predictions, score_table

    folder, store = run.folder / "evaluation", open_chips(run.folder / "chips")
    config = resolved_with(run.config, store, decide_tiles(run, store))
    cache, key = Cache(folder, "jobs"), run.fingerprint("evaluate", FITTING)
    for path in cache.arrays(key).set_aside_damaged():
        run.console.say(f"  {path} is damaged; kept as {path.name}.damaged, and computed again")
    calibrated: set[str] = set()

    def when_judged(rows: pd.DataFrame) -> Training | None:
        """The model of the map is known: calibrate it, and train it if that stage follows."""
        chosen = choose_ahead(run, config, rows)
        _calibrate(run, chosen, rows)
        calibrated.add(chosen.map.model)
        return training(run)

    with beside(run):
        predictions = held_out_predictions(
            run.folder / "chips",
            run.folder / "imagery.tif",
            config,
            cache.arrays(key),
            console=run.console,
            when_judged=when_judged,
        )
    with writing(folder / "predictions.parquet") as part:
        predictions.to_parquet(part, index=False)
    importance = held_out_importance(run.folder / "chips", predictions, config, cache.arrays(key))
    with writing(folder / "importance.csv") as part:
        importance.to_csv(part, index=False)
    mapping, of_choice = choose(run, config, predictions)
    table = pd.concat([score_table(predictions), of_choice], ignore_index=True)
    with writing(run.folder / "scores.csv") as part:
        table.to_csv(part, index=False)
    if mapping.map.model not in calibrated:
        _calibrate(run, mapping, predictions)
    cache.prune(key)
    splits = ", ".join(s.name for s in run.config.evaluate.splits)
    return f"{len(run.config.evaluate.models)} models on {splits}"


def _calibrate(run: RunContext, config: "RunConfig", predictions) -> None:
    """Write evaluation/uncertainty.json, .npz and intervals.parquet, or remove old ones.

    There are none where the mapped model is not evaluated or the plots are too few.
    """
    from spatioformer.common.errors import EvaluationError
    from spatioformer.run.evaluate import calibrate

    folder, calibration = run.folder / "evaluation", None
    try:
        calibration = calibrate(run.folder / "chips", predictions, config)
    except EvaluationError as error:
        run.console.say(f"  the map gets no intervals: {error}")
    if calibration is None:
        _remove(folder, UNCERTAINTY)  # those of a former run would be of another model
        return
    uncertainty, plots = calibration
    with writing(folder / "intervals.parquet") as part:
        plots.to_parquet(part, index=False)
    uncertainty.save(folder)


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def map_(run: RunContext) -> str:
    """model/ x evaluation/ x imagery.tif -> map.tif, map.json."""
    from spatioformer.mapping import Resources, map_raster
    from spatioformer.models.target import amount
    from spatioformer.run.outline import elsewhere, places_in

    section, imagery = run.config.map, run.config.imagery
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
    if imagery is not None and imagery.outline is None and imagery.region_file is None:
        note, facts = elsewhere(run.folder / "map.tif", places_in(run.folder / "plots.parquet"))
        if note:
            run.console.say(f"  note: {note}")
            summary["elsewhere"] = facts
    write_json(run.folder / "map.json", summary)
    if not summary["pixels"]:
        return "no pixel to predict"
    kind = read_json(run.folder / "plots.json").get("target_kind")
    return f"{summary['pixels']:,} pixels, mean {amount(summary['mean'], 1, kind)}"


def report(run: RunContext) -> str:
    """Everything in the run folder -> report.html, its pictures, verdict, and explained.json."""
    from spatioformer.report import write_report
    from spatioformer.run.explaining import explain_map

    explain_map(run)
    write_report(run.folder, run.config, run.console)
    return "report.html"


def _plot_inputs(config: "RunConfig") -> list[str]:
    species = config.plots.species
    return [config.plots.path, *([species.path] if species and species.path else [])]


def _imagery_inputs(config: "RunConfig") -> list[str]:
    if config.imagery is None:
        return []
    section = config.imagery
    outline = [section.outline_file] if section.outline_file else []
    return [*(layer.path for layer in section.layers), *section.mask_paths, *outline]


def _truth_inputs(config: "RunConfig") -> list[str]:
    return [config.truth.path, config.truth.noise_path] if config.truth else []


STAGES: dict[str, Stage] = {
    "plots": Stage(
        plots,
        (),
        ("plots", "imagery.region", "model.covariates", "target.kind", "fold_column"),
        _plot_inputs,
        ("plots.parquet", "plots.json", ".stages/plots.rejected.csv"),
    ),
    "imagery": Stage(
        imagery,
        (),
        ("imagery",),
        _imagery_inputs,
        ("imagery.tif", "imagery.json"),
        of_imagery=True,
    ),
    "chips": Stage(
        chips,
        ("plots", "imagery"),
        ("model.patch", "model.covariates", "distils"),
        no_inputs,
        ("chips", ".stages/chips.rejected.csv"),
    ),
    "train": Stage(
        train,
        ("chips",),
        ("model", "train", "map.model", "seed", "name", "target", "truth"),
        no_inputs,
        # Not the folder as a whole: the runner attaches the uncertainty that evaluate measured.
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
                    *("models", "splits", "curve_sizes", "curve_unit", "curve_models"),
                    *("level", "interval"),
                )
            ),
        ),
        no_inputs,
        ("scores.csv", *(f"evaluation/{name}" for name in EVALUATED)),
        kept=("evaluation/jobs-*", KEPT),
    ),
    "map": Stage(
        map_,
        ("train", "imagery", "evaluate"),
        # Neither memory nor workers: a map does not depend on them.
        ("map.samples", "map.sd_step", "seed", "truth"),
        _truth_inputs,
        ("map.tif", "map.json"),
        of_imagery=True,
    ),
    "report": Stage(
        report,
        ("plots", "imagery", "chips", "train", "evaluate", "map"),
        ("title", "name", "target", "truth", "map.model", "licence"),
        no_inputs,
        (
            *("report.html", "map.png", "verdict.json", "figures"),
            *("explained.json", "location_effect.tif", "CITATIONS.bib"),
        ),
    ),
}
"""All stages, in order."""


def stages_of(config: "RunConfig") -> dict[str, Stage]:
    """The stages of a run: all of them, or without imagery those of a plot table alone.

    A run with sources has a stage that searches the catalogues, and may have one for years. Where
    the evaluation chooses the model of the map, it comes before the training.
    """
    if config.imagery is None:
        own = _without_imagery()
    else:
        own = STAGES
        if config.imagery.has_outline:  # it depends on the plots, and on these alone
            own = own | {"imagery": replace(own["imagery"], reads=("plots.parquet",))}
        own = with_sources(own, config) if config.imagery.sources else own
    return _evaluated_first(own) if config.map.model == AUTO else own


def _evaluated_first(stages: dict[str, Stage]) -> dict[str, Stage]:
    """The stages with the training after the evaluation, whose choice it reads."""
    train = replace(stages["train"], reads=(*stages["train"].reads, CHOICE))
    order = [name for name in stages if name != "train"]
    order.insert(order.index("evaluate") + 1, "train")
    return {name: train if name == "train" else stages[name] for name in order}


def _without_imagery() -> dict[str, Stage]:
    own = {name: stage for name, stage in STAGES.items() if not stage.of_imagery}
    return {
        name: replace(
            stage,
            needs=tuple(n for n in stage.needs if n in own),
            outputs=tuple(output for output in stage.outputs if output not in OF_MAP),
        )
        for name, stage in own.items()
    }
