"""Count the files of the package that five tasks enter (docs/architecture.md).

    python -m benchmarks.walks

A file counts if one of its functions runs during the task; imports alone do not count. The data are
the tiny landscape of the tests, the text model is trained here for two steps.
"""

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.helpers import landscape

import spatioformer
from spatioformer.common.progress import Console
from spatioformer.mapping import map_raster
from spatioformer.run import Run
from spatioformer.text.model import TextModel
from spatioformer.text.recipe import Sizes, train_text
from spatioformer.text.settings import TextRecipe

PACKAGE = str(Path(spatioformer.__file__).parent)


def files_entered(task: Callable[[], object]) -> set[str]:
    """Files of the package of which a function ran during `task`, relative to the package."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        # Bodies of modules and classes run while they are imported.
        if event == "call" and code.co_flags & 0x2 and code.co_filename.startswith(PACKAGE):
            files.add(code.co_filename.removeprefix(PACKAGE + "/"))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        task()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return files


def walks(folder: Path) -> dict[str, set[str]]:
    """Task -> the files that it enters."""
    config, quiet = landscape.write(folder), Console(quiet=True)
    runs: list[Run] = []

    def open_run() -> None:
        runs.append(Run(config, console=quiet))
        runs[0].is_current("report")

    opened = files_entered(open_run)
    run = runs[0]
    plots = files_entered(lambda: run.stage("plots"))
    run.stage("chips")
    training = files_entered(lambda: run.stage("train"))
    model, raster = run.folder / "model", run.folder / "imagery.tif"
    mapping = files_entered(lambda: map_raster(model, raster, folder / "map.tif", samples=2))
    words = folder / "words.txt"
    words.write_text("the river flows to the sea and the sea flows to the river\n" * 400)
    sizes = Sizes("words", context=8, width=16, heads=2, layers=1)
    train_text([words], folder / "text", sizes, TextRecipe(steps=2, check_every=2, batch=2))
    text = files_entered(lambda: TextModel.open(folder / "text").next("the river", 3))
    return {
        "configuration through run": opened,
        "plot table": plots - opened,
        "chips through training": training - opened,
        "raster through mapping": mapping,
        "text prompt": text,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for task, files in walks(Path(folder)).items():
            folders = {name.split("/")[0] for name in files}
            print(f"{task}: {len(files)} files in {len(folders)} folders")
            for name in sorted(files):
                print(f"    {name}")


if __name__ == "__main__":
    main()
