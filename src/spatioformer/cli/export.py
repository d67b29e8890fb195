"""The command `export`: a model as one ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import Quiet
from spatioformer.cli.source import model_folder
from spatioformer.common.errors import OutputError


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A model folder of a run, of `text train` or `vision train`; or a run, for its "
            "model.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, .onnx.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a network as an ONNX file, for R, JavaScript, QGIS and others, and check it.

    Raw values go in; species, logits or probabilities come out. The file states its inputs,
    outputs, units, bands and licence.
    """
    from spatioformer.common.progress import Console
    from spatioformer.portable.export import export_model

    if out.suffix.lower() != ".onnx":
        raise OutputError(f"{out} is no .onnx file; give -o a name that ends in .onnx")
    if out.exists() and not force:
        raise OutputError(f"{out} exists; give --force to replace it, or name another file")
    written = export_model(model_folder(source), out)
    console = Console(quiet)
    console.say(f"{out}: {written.size / 1e6:,.2f} MB, {written.sentence}")
