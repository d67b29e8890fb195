"""Explain the mapped model for the report of a run."""

import time

from spatioformer.analysis.explain import EXPLAINED, explain
from spatioformer.analysis.location import FILE
from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.run.context import RunContext


def explain_map(run: RunContext) -> None:
    """Write explained.json and location_effect.tif into the run folder, for the report.

    A model that this version cannot open is not explained; the console says why.
    """
    started = time.process_time()
    try:
        explained = explain(run.folder, mapped_model(run), run.config.seed)
    except ModelError as error:
        for name in (EXPLAINED, FILE):  # those of an earlier model
            (run.folder / name).unlink(missing_ok=True)
        run.console.say(f"  the report does not explain the model: {error}")
        return
    seconds = time.process_time() - started
    run.console.say(f"  explained by {len(explained['curves'])} response curves ({seconds:.1f} s)")


def mapped_model(run: RunContext) -> str:
    """Name of the model in the run folder, which the configuration may leave to the evaluation."""
    facts = read_json(run.folder / "model" / "config.json")["facts"]
    return str(facts["name"]).removesuffix(f" ({run.config.name})")
