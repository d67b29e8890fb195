"""The models of which the course speaks: opened where they are, or trained once and kept."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from spatioformer.common.cache import Cache
from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_file, hash_value
from spatioformer.common.lock import Holder, waited_lock
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.version import __version__
from spatioformer.learn.campaign import Campaign, campaign, is_finished
from spatioformer.learn.campaign import Sizes as CampaignSizes
from spatioformer.learn.invented import Landscape, invent
from spatioformer.learn.placed import PlacedLesson, train_placed
from spatioformer.learn.session import session
from spatioformer.text.corpus import SPANISH, CorpusError, spanish_module
from spatioformer.text.model import MINILM, TextModel
from spatioformer.text.recipe import SCORES, train_text
from spatioformer.text.settings import Sizes, TextRecipe
from spatioformer.text.vectors import WORDLLAMA, WordVectors, open_vectors
from spatioformer.vision.experiment import train as train_vision
from spatioformer.vision.images import Images, read_digits
from spatioformer.vision.model import VisionModel
from spatioformer.vision.predictions import scores
from spatioformer.vision.settings import HELD_OUT, Recipe
from spatioformer.vision.settings import Sizes as VisionSizes
from spatioformer.vision.training import hold_out

SIZES = Sizes(vocabulary=4096, context=64, width=96, heads=4, layers=3)
RECIPE = TextRecipe(steps=600, batch=16, learning_rate=4e-3)
"""A small Spanish model, in about two minutes; `text train spanish` trains a better one."""
PLOTS = 300  # of the invented landscape
VISION_SIZES, VISION_RECIPE = VisionSizes(), Recipe(epochs=12)
QUICK_RECIPE, QUICK_VISION = replace(RECIPE, steps=30), replace(VISION_RECIPE, epochs=2)
QUICK_CAMPAIGN = CampaignSizes(
    plots=70,
    sites=8,
    # Further processes would take more processor time for their imports than these fits.
    settings=(*CampaignSizes().settings, "evaluate.workers=1"),
)
"""Trainings of a few seconds and runs of few plots, which the pages name as such."""
README = "README.md"  # the last file that a training of images writes


@dataclass(frozen=True)
class SpanishModel:
    """A model folder of `text train`.

    Attributes:
        rows: its training.csv, a row a validation.
        scores: its scores.json.
    """

    model: TextModel
    rows: list[dict[str, float]]
    scores: Mapping[str, float]

    @classmethod
    def open(cls, folder: Path) -> "SpanishModel":
        """Open the folder.

        Raises:
            ModelError: a file is missing or damaged.
        """
        model = TextModel.open(folder)
        try:
            with (folder / "training.csv").open(encoding="utf-8", newline="") as lines:
                rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]
            scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
            return cls(model, rows, {key: float(value) for key, value in scores.items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{folder} has no usable training.csv and {SCORES} ({error}); give a folder that "
                "`spatioformer text train` of this version wrote"
            ) from error


@dataclass(frozen=True)
class VisionLesson:
    """A ViT of scikit-learn's digits.

    Attributes:
        held_out: the images that its training never saw.
        accuracy: share of these that it gets right.
    """

    model: VisionModel
    held_out: Images
    accuracy: float


class Tools:
    """What chapters compute with.

    Args:
        spanish: a GPT of Spanish; None: it cannot be had here.
        cache: folder where models are kept that are trained once.
        quick: train models for a few seconds only, unless the cache has those of a whole training.
    """

    def __init__(
        self,
        spanish: SpanishModel | None,
        cache: Path,
        console: Console = SILENT,
        *,
        quick: bool = False,
    ):
        self.spanish = spanish
        self.cache, self.console, self.quick = cache, console, quick

    @property
    def shortened(self) -> bool:
        """Whether a model of the pages was trained for a few seconds only, or on few plots."""
        steps = self.spanish.rows[-1]["step"] if self.spanish is not None else RECIPE.steps
        return self.quick and (
            self._vision_recipe is QUICK_VISION
            or self._campaign_sizes is QUICK_CAMPAIGN
            or steps == QUICK_RECIPE.steps
        )

    @cached_property
    def _vision_recipe(self) -> Recipe:
        whole = vision_folder(self.cache, VISION_SIZES, VISION_RECIPE) / README
        return QUICK_VISION if self.quick and not whole.is_file() else VISION_RECIPE

    @cached_property
    def vision(self) -> VisionLesson:
        """A small ViT, trained where the cache does not have it."""
        return vision_lesson(self.cache, VISION_SIZES, self._vision_recipe, self.console)

    @cached_property
    def landscape(self) -> Landscape:
        """Plots of an invented landscape."""
        return invent(PLOTS)

    @cached_property
    def campaign(self) -> Campaign:
        """The runs of the chapter on maps; finished stages are in the cache."""
        self.console.say("making two maps and a third to compare: half a minute the first time")
        sizes = self._campaign_sizes
        folder = campaign_folder(self.cache, sizes)
        with _alone(folder, self.console), session() as shell:
            return campaign(folder, sizes, shell)

    @cached_property
    def _campaign_sizes(self) -> CampaignSizes:
        sizes = CampaignSizes()
        whole = is_finished(campaign_folder(self.cache, sizes))
        return QUICK_CAMPAIGN if self.quick and not whole else sizes

    @cached_property
    def placed(self) -> PlacedLesson:
        """A network of the invented landscape that the page runs."""
        return train_placed(PLOTS)

    @cached_property
    def words(self) -> WordVectors:
        """Word vectors of the pip package wordllama."""
        return open_vectors(WORDLLAMA)

    @cached_property
    def encoder(self) -> TextModel:
        """MiniLM, an English encoder, of its pip package."""
        return TextModel.open_encoder(MINILM)


def campaign_folder(cache: Path, sizes: CampaignSizes) -> Path:
    """Where the runs of the chapter on maps are kept."""
    return Cache(cache, "campaign").path(hash_value(vars(sizes)))


def vision_lesson(
    cache: Path, sizes: VisionSizes, recipe: Recipe, console: Console = SILENT
) -> VisionLesson:
    """Open the ViT of the cache, or train it, and score it on the digits held out."""
    images = read_digits()
    folder = vision_folder(cache, sizes, recipe)

    def train() -> None:
        console.say("training a small Vision Transformer, once: half a minute at most")
        train_vision(images, folder, recipe, sizes, console=console)

    _make_once(folder, README, train, console)
    model = VisionModel.open(folder)
    held_out = images[hold_out(images, HELD_OUT, recipe.seed)]
    return VisionLesson(model, held_out, scores(held_out, model.predict(held_out))["accuracy"])


def vision_folder(cache: Path, sizes: VisionSizes, recipe: Recipe) -> Path:
    """Where a ViT of the digits is kept."""
    return Cache(cache, "digits").path(hash_value([vars(sizes), vars(recipe), __version__]))


def spanish_model(
    cache: Path, console: Console = SILENT, *, quick: bool = False
) -> SpanishModel | None:
    """The small Spanish model, trained where the cache does not have it; None without the corpus.

    Args:
        quick: as in `Tools`.

    Raises:
        OutputError: the cache cannot be written.
    """
    try:
        corpus = spanish_module()
    except CorpusError as error:
        console.say(f"note: {error}; the pages say which parts need it")
        return None
    texts = corpus.parent.parent / "modules" / "texts" / "ztext" / corpus.stem
    hashes = [hash_file(path) for path in (corpus, *sorted(texts.glob("*.bz?")))]

    def kept(recipe: TextRecipe) -> Path:
        return Cache(cache, "spanish").path(hash_value([hashes, vars(SIZES), vars(recipe)]))

    recipe = RECIPE
    if quick and not (kept(recipe) / SCORES).is_file():
        recipe = QUICK_RECIPE
    folder = kept(recipe)

    def train() -> None:
        console.say("training a small Spanish model, once: two minutes at most")
        train_text([SPANISH], folder, SIZES, recipe, console=console)

    _make_once(folder, SCORES, train, console)
    return SpanishModel.open(folder)


def _make_once(folder: Path, last: str, make: Callable[[], None], console: Console) -> None:
    """Make a folder of the cache unless it has the file that is written last."""
    if (folder / last).is_file():  # nothing to write, so the cache may be read-only
        return
    with _alone(folder, console):
        if not (folder / last).is_file():
            make()


@contextmanager
def _alone(folder: Path, console: Console) -> Iterator[None]:
    """Wait while another process makes the same folder of the cache."""

    def tell(holder: Holder) -> None:
        console.say(f"the course is also being built by {holder}; waiting for its models")

    with waited_lock(folder.with_name(f"{folder.name}.lock"), tell):
        yield
