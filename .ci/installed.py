"""Make maps with the wheel, as somebody does who only installed it.

Called from the repository's root with the Python of the fresh environment: the inputs come from
`tests/helpers/landscape.py`, the package from the wheel.
"""

import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

import rasterio
from tests.helpers import landscape

import spatioformer


def command(*arguments: str) -> str:
    """Run the installed command; a failure ends this script."""
    program = Path(sys.executable).with_name("spatioformer")
    return subprocess.run(
        [program, *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def main() -> None:
    """Check the installed files, the command and a whole run."""
    folder = Path(spatioformer.__file__).parent
    assert folder.parent.name == "site-packages", f"not the wheel: {folder}"
    assert resources.files("spatioformer").joinpath("py.typed").is_file()
    assert command("--version").strip() == spatioformer.__version__
    assert "run" in command("--help")
    with tempfile.TemporaryDirectory() as place:
        config = landscape.write(Path(place))
        command("run", str(config), "--quiet")
        run = Path(place) / "run"
        with rasterio.open(run / "map.tif") as dataset:
            mean = dataset.read(1, masked=True).mean()
        assert 0 < mean < 100, mean  # species
        assert (run / "report.html").stat().st_size > 10_000
        model = spatioformer.load(run / "model")
        assert list(model.bands) == ["red", "green", "blue"], model.bands
    print(f"wheel: spatioformer {spatioformer.__version__} made a map, mean {mean:.1f} species")


if __name__ == "__main__":
    main()
