"""The code that builds the documentation, which is no package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


def extension(name: str) -> ModuleType:
    """A module of docs/_ext; those that it imports are found beside it, as Sphinx finds them."""
    if str(EXTENSIONS) not in sys.path:
        sys.path.append(str(EXTENSIONS))
    spec = importlib.util.spec_from_file_location(f"docs_{name}", EXTENSIONS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
