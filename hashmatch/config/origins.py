"""Every setting as it is in effect, with where its value comes from, and no secret.

for setting in effective():
    setting.name, setting.value, setting.origin    # "clips.url", "s3://clips", "hashmatch.toml"
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from hashmatch.config.settings import Settings, load, read, sections, variable
from hashmatch.config.shared import SHARED, STORAGES, VARIABLES

HIDDEN = "(hidden)"


class Effective(NamedTuple):
    """name: such as clips.url; value: as JSON has it, None where nothing is set.

    origin: `default`, the settings file, `environment` or `[s3]`; variable: which one, where the
    origin is the environment.
    """

    name: str
    value: Any
    origin: str
    variable: str | None = None


def effective(file: Path | None = None) -> Iterator[Effective]:
    """Of all settings, in the order of the settings file; file: as `load` takes it.

    For s3:// storages also what boto3 will find in the variables it reads itself.
    Raises ConfigError.
    """
    settings, (source, given) = load(file), read(file)
    for section, kind in sections():
        for key in kind.model_fields:
            value = getattr(getattr(settings, section), key)
            name, shown = f"{section}.{key}", _shown(section, key, value)
            if (where := variable(section, key)) is not None:
                yield Effective(name, shown, "environment", where)
            elif key in given.get(section, ()):
                yield Effective(name, shown, str(source))
            elif value is not None and section in STORAGES and key in VARIABLES:
                yield Effective(name, shown, f"[{SHARED}]")
            elif value is None and (where := _amazons(settings, section, key)) is not None:
                found = os.environ[where]
                secret = key == "secret_access_key"
                yield Effective(name, HIDDEN if secret else _url(found), "environment", where)
            else:
                yield Effective(name, shown, "default")


def _amazons(settings: Settings, section: str, key: str) -> str | None:
    """The variable in which boto3 will find a setting of a storage that nothing here says."""
    storage = getattr(settings, section)
    if section not in STORAGES or not storage.url.lower().startswith("s3://"):
        return None
    if key == "secret_access_key" and storage.access_key_id is not None:
        return None
    return next((name for name in VARIABLES.get(key, ()) if os.environ.get(name)), None)


def _shown(section: str, key: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, tuple) and key == "command":
        # An argument may be a token: the program says which command it is.
        return [*value[:1], *(HIDDEN for _ in value[1:])]
    if isinstance(value, str):
        # A webhook's path is often all that keeps others from it.
        return _url(str(value), path=(section, key) != ("withdraw", "url"))
    return json.loads(json.dumps(value))


def _url(text: str, *, path: bool = True) -> str:
    """An address without its password, and without what may be a token behind it; others as they are.

    Of the user's name only a database's is kept: elsewhere it may be a token.
    """
    scheme, colon, rest = text.partition("://")
    if not colon:
        return text
    user, at, host = rest.rpartition("@")
    if at:
        name = user.partition(":")[0] if scheme.startswith("postgresql") else HIDDEN
        rest = f"{name}:{HIDDEN}@{host}" if ":" in user else f"{name}@{host}"
    if not path:
        rest = re.sub(r"/.+", f"/{HIDDEN}", rest)
    return f"{scheme}://" + re.sub(r"([?#]).*", rf"\1{HIDDEN}", rest)
