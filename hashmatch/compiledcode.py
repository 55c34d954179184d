"""Where numba keeps the code it compiled: beside the modules, or where the settings have room for it.

    @compiled
    def luma_of(rgb): ...

    keep_in(settings.path("state") / "kernels")   # before anything is compiled; writes nothing

numba itself tries the modules' own folders and the home folder. A service may have the right to write in
neither, and what others can write must not be loaded: it is code.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

# numba's own variable. Worker processes and decoders get it with their environment.
VARIABLE = "NUMBA_CACHE_DIR"

_PACKAGE = Path(__file__).parent
# Those with compiled functions in them.
_FOLDERS = (_PACKAGE / "hashing", _PACKAGE / "matching")

_made: list[Any] = []


def compiled(function: Function | None = None, **options: Any) -> Any:
    """Compiled at first use and kept on disk, where there is a disk to keep it on.

    options: numba's, but for `cache`.
    """
    import numba

    if function is None:
        return lambda given: compiled(given, **options)
    dispatcher = numba.njit(**options)(function)
    _made.append(dispatcher)
    _keep(dispatcher)
    return cast(Function, dispatcher)


def keep_in(folder: Path) -> None:
    """Keep it there, unless the modules' own folders can be written or the environment says where."""
    if VARIABLE in os.environ or all(map(_writable, _FOLDERS)):
        return
    os.environ[VARIABLE] = str(folder.absolute())
    if "numba" in sys.modules:  # which has read its variables, and may have made its choice
        import numba

        vars(numba.config)["CACHE_DIR"] = os.environ[VARIABLE]
        for dispatcher in _made:
            _keep(dispatcher)


def _keep(dispatcher: Any) -> None:
    # numba's only word for: in none of the places that it tries
    with contextlib.suppress(RuntimeError):
        dispatcher.enable_caching()


def _writable(folder: Path) -> bool:
    cache = folder / "__pycache__"
    return os.access(cache if cache.exists() else folder, os.W_OK)
