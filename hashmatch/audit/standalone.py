"""The verifier of bundles, which is a program of its own: there is one source of it.

`scripts/verify_bundle.py` of a source checkout; an installed copy carries it as
`hashmatch/standalone/verify_bundle.py`.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.resources import files
from pathlib import Path
from types import ModuleType

_NAME = "hashmatch.standalone.verify_bundle"


def script() -> Path:
    """Where the program is."""
    package = Path(str(files("hashmatch")))
    installed = package / "standalone"
    folder = installed if installed.is_dir() else package.parent / "scripts"
    return folder / "verify_bundle.py"


def verifier() -> ModuleType:
    """The program, loaded. Its `main` takes the words of the command line, gives the exit code."""
    if _NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(_NAME, script())
        if spec is None or spec.loader is None:
            raise FileNotFoundError(f"{script()} is missing: install hashmatch again")
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[_NAME]
