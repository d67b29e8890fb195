"""The run of the chapter on maps: a user's commands on invented plots, and what they left.

Only the north of the landscape was surveyed at first. Then the sites that `survey` proposes are
visited, and, to compare, as many sites drawn at random. The flora is virtual, so that the truth is
known at every pixel. Finished stages of a run are kept, so a second build computes little.

Shapes: H, W pixels of the map; n places.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from spatioformer.common.files import writing
from spatioformer.config.file import load_config
from spatioformer.geo.virtual.example import NORTH, PIXEL, SIDE, WEST, landscape
from spatioformer.geo.virtual.flora import VirtualFlora, observe, simulate
from spatioformer.learn.session import Shell
from spatioformer.report.results import Results

EXAMPLE = "valdivia"
SOUTHERNMOST = -39.5  # degrees: nobody went farther south at first
PLOTS, SITES, RANDOM = "north", "more", "random"
"""Names of the three plot tables, of their configurations and of their runs."""
SEED = 0


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Attributes:
        plots: of the whole example; those of the north are used.
        sites: number of proposed sites.
        settings: of the configurations, as `init --set` takes them.
    """

    plots: int = 150
    sites: int = 20
    settings: tuple[str, ...] = (
        "evaluate.models=[gaussian-process,location-knn]",
        "evaluate.curve_sizes=[]",
    )


def is_finished(folder: Path) -> bool:
    """Whether the folder has the last map of a campaign."""
    return (folder / EXAMPLE / "runs" / RANDOM / "map.tif").is_file()


@dataclass(frozen=True)
class Command:
    """A command as a user types it, and what it printed."""

    words: str
    printed: str


@dataclass(frozen=True)
class MapRun:
    """A finished run, and the truth of its map.

    Attributes:
        truth: (H, W) expected number of species of a plot.
        counts: (H, W) species counted in one new plot of each pixel.
    """

    results: Results
    truth: Float[np.ndarray, "H W"]
    counts: Int[np.ndarray, "H W"]

    @property
    def mapped(self) -> Bool[np.ndarray, "H W"]:
        return self.results.mean.mapped

    @property
    def inside(self) -> Bool[np.ndarray, "H W"]:
        """Mapped pixels inside the area of applicability."""
        assert self.results.outside is not None, "the run calibrated its intervals"
        return self.mapped & ~self.results.outside

    @property
    def outside(self) -> Bool[np.ndarray, "H W"]:
        return self.mapped & ~self.inside

    @cached_property
    def areas(self) -> Float[np.ndarray, "H W"]:
        """Areas of the pixels, km2."""
        return self.results.mean.pixel_areas

    @cached_property
    def ends(self) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
        """Lower and upper ends of the intervals, species."""
        assert self.results.interval_ends is not None, "the run calibrated its intervals"
        lower, upper = self.results.interval_ends
        return lower.values, upper.values

    @property
    def width(self) -> Float[np.ndarray, "H W"]:
        """Width of the intervals, species."""
        lower, upper = self.ends
        return upper - lower

    @cached_property
    def error(self) -> Float[np.ndarray, "H W"]:
        """Absolute difference of map and truth, species."""
        return np.abs(self.results.mean.values - self.truth)

    @cached_property
    def covered(self) -> Bool[np.ndarray, "H W"]:
        """Where the new plot lies in its interval."""
        lower, upper = self.ends
        return (lower <= self.counts) & (self.counts <= upper)


@dataclass(frozen=True)
class Campaign:
    """What happened.

    Attributes:
        table: of the first plots, as the user has it.
        columns: lines of the first configuration that say which column is which.
        commands: by "example", "init", "check", "run", "survey", "again", "rerun", "random".
        sites: the table of `survey`.
        north, more, random: runs of the first plots, with the proposed sites, with random ones.
    """

    table: pd.DataFrame
    columns: str
    commands: Mapping[str, Command]
    sites: pd.DataFrame
    north: MapRun
    more: MapRun
    random: MapRun


def campaign(folder: Path, sizes: Sizes, run: Shell) -> Campaign:
    """Run the commands in a folder, in which finished stages are kept.

    Raises:
        OutputError: the folder cannot be written, or a command failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / EXAMPLE
    commands: dict[str, Command] = {}

    def do(name: str, words: str, where: Path = work) -> None:
        printed = run(where, words.replace("\\\n", " ")).replace(f"{where.resolve()}/", "")
        commands[name] = Command(words, printed)

    def describe(name: str, table: str) -> None:
        (work / f"{table}.yaml").unlink(missing_ok=True)
        do(name, _init(table, sizes.settings))

    do("example", f"spatioformer example {EXAMPLE} --plots {sizes.plots}", folder)
    everything = pd.read_csv(work / "plots.csv")
    first = everything[everything["latitude"] > SOUTHERNMOST]
    _write(first, work / f"{PLOTS}.csv")
    describe("init", PLOTS)
    do("check", f"spatioformer check {PLOTS}.yaml")
    do("run", f"spatioformer run {PLOTS}.yaml")
    do("survey", f"spatioformer survey {PLOTS}.yaml -o sites.csv --sites {sizes.sites}")
    sites = pd.read_csv(work / "sites.csv")
    flora = simulate(**landscape(SEED), seed=SEED)  # type: ignore[arg-type]
    rng = np.random.default_rng(SEED)
    _write(_visited(first, flora, *_pixels(sites), rng), work / f"{SITES}.csv")
    describe("again", SITES)
    do("rerun", f"spatioformer map {SITES}.yaml")
    rows, cols = rng.integers(0, SIDE, (2, sizes.sites))
    _write(_visited(first, flora, rows, cols, rng), work / f"{RANDOM}.csv")
    # The same configuration and other plots.
    changes = f"plots.path={RANDOM}.csv name={RANDOM} out=runs/{RANDOM}".replace(" ", " --set ")
    do("random", f"spatioformer map {SITES}.yaml --set {changes}")
    everywhere = np.indices((SIDE, SIDE)).reshape(2, -1)
    counts = observe(flora, everywhere[0], everywhere[1], rng).reshape(SIDE, SIDE)
    runs = {
        name: MapRun(_results(work / "runs" / name), flora.truth.astype(float), counts)
        for name in (PLOTS, SITES, RANDOM)
    }
    columns = _columns((work / f"{PLOTS}.yaml").read_text(encoding="utf-8"))
    return Campaign(first, columns, commands, sites, runs[PLOTS], runs[SITES], runs[RANDOM])


def _init(table: str, settings: tuple[str, ...]) -> str:
    lines = [
        f"spatioformer init {table}.csv climate.tif landsat.tif",
        f"  -o {table}.yaml --yes",
        *(f"  --set {shlex.quote(setting)}" for setting in settings),
    ]
    return " \\\n".join(lines)


def _columns(configuration: str) -> str:
    """The lines from "columns:" to the next section, which are not indented more."""
    lines = configuration.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith("columns:"))
    indent = len(lines[start]) - len(lines[start].lstrip())
    block = [lines[start]]
    for line in lines[start + 1 :]:
        if len(line) - len(line.lstrip()) <= indent:
            break
        block.append(line)
    return "\n".join(line[indent:] for line in block)


def _pixels(sites: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    rows = np.floor((NORTH - sites["lat"].to_numpy()) / PIXEL).astype(int)
    cols = np.floor((sites["lon"].to_numpy() - WEST) / PIXEL).astype(int)
    return rows, cols


def _visited(
    plots: pd.DataFrame,
    flora: VirtualFlora,
    rows: np.ndarray,
    cols: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The plots, and one new plot in the middle of each pixel."""
    visits = pd.DataFrame(
        {
            "site": [f"new-{i}" for i in range(1, len(rows) + 1)],
            "longitude": (WEST + PIXEL * (cols + 0.5)).round(5),
            "latitude": (NORTH - PIXEL * (rows + 0.5)).round(5),
            "species": observe(flora, rows, cols, rng),
            "date": "2022-01-15",
        }
    )
    return pd.concat([plots, visits])


def _write(table: pd.DataFrame, path: Path) -> None:
    with writing(path) as part:
        table.to_csv(part, index=False)


def _results(run: Path) -> Results:
    return Results(run, load_config(run / "config.resolved.yaml"))
