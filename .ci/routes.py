"""Run the installation routes of docs/install.md in fresh environments, as far as pip goes.

The steps are those that users run: the block of the section "pip", the RUN and COPY lines of the
Dockerfile's first stage, and the pip section of environment.yml. Docker and conda are not needed.
By default nothing but the package itself is installed, and the libraries are those of the Python
that runs this script. `--full` installs everything, as printed (several minutes, 2.4 GB a route).
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
FULL = "--full" in sys.argv[1:]


def shortened(step: str) -> str:
    """The step without the libraries, or the step itself with --full."""
    if FULL:
        return step
    if "requirements-data.txt" in step or step.startswith("spatioformer "):  # `check` calls it
        return ":"
    step = re.sub(r"--extra-index-url \S+ ?", "", step)
    return step.replace("pip install", "pip install --quiet --no-deps")


def run(script: str, folder: Path) -> str:
    """Run a shell script in a folder; the Python of this script is its python and python3."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=environment | {"PATH": path},
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout


def prepare(folder: Path) -> None:
    """Make python and python3 in folder/bin: the interpreter behind this environment."""
    (folder / "bin").mkdir()
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(base)


def check(venv: Path) -> str:
    """The version that the installed command prints."""
    if not FULL:
        inside = next(venv.glob("lib/python*/site-packages"))
        (inside / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = f"{venv}/bin/spatioformer"
    where = run(f"cd / && {venv}/bin/python -c 'import spatioformer as s; print(s.__file__)'", venv)
    assert where.startswith(str(venv)), where
    return run(f"{program} --version && {program} --help > help.txt", venv).strip()


def copied(names: list[str], folder: Path) -> None:
    """Copy files and folders of the repository."""
    for name in names:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)


def docker(folder: Path) -> Path:
    """Run the first stage of the Dockerfile; returns its environment."""
    stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")[1]
    venv = folder / "opt-venv"
    for line in stage.splitlines():
        word, _, rest = line.partition(" ")
        if word == "COPY":
            copied(rest.split()[:-1], folder)
        elif word == "RUN":
            run(shortened(rest).replace("/opt/venv", str(venv)), folder)
    return venv


def page(folder: Path) -> Path:
    """Run the block of the section "pip" of docs/install.md; returns its environment."""
    copied(["pyproject.toml", "constraints.txt", "requirements-data.txt", "README.md"], folder)
    copied(["LICENSE", "src"], folder)
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## pip\n.*?^```bash\n(.*?)^```$", text, re.M | re.S)
    run("\n".join(shortened(line) for line in block.splitlines()), folder)
    return folder / ".venv"


def conda(folder: Path) -> Path:
    """Give the pip section of environment.yml to pip, as conda does: as a file of requirements."""
    copied(["pyproject.toml", "constraints.txt", "README.md", "LICENSE", "src"], folder)
    described = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (lines,) = (part["pip"] for part in described["dependencies"] if isinstance(part, dict))
    kept = [line for line in lines if FULL or not line.startswith("--extra-index-url")]
    (folder / "condaenv.requirements.txt").write_text("\n".join(kept) + "\n")
    step = shortened(".venv/bin/python -m pip install -U -r condaenv.requirements.txt")
    run(f"python -m venv .venv\n{step}", folder)
    return folder / ".venv"


def main() -> None:
    """Run all routes."""
    for route in (page, docker, conda):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place).resolve()
            prepare(folder)
            print(f"route {route.__name__}: spatioformer {check(route(folder))} installed")


if __name__ == "__main__":
    main()
