"""Settings, put together of file and environment, or an error that names the setting and no value."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel, PrivateAttr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from hashmatch.config.sections import (
    S3,
    AnchorBucket,
    Anchors,
    Audit,
    Clips,
    Custody,
    Database,
    Decode,
    Lists,
    Matching,
    People,
    Report,
    Review,
    Run,
    Vault,
    Withdraw,
)
from hashmatch.config.shared import inherited
from hashmatch.errors import ConfigError

FILE = "hashmatch.toml"


class SettingsMissing(ConfigError):
    message = "{source}: there is no such file."
    remedy = (
        "Go to the installation's folder, or name its settings with `hashmatch --config FILE` or "
        "HASHMATCH_CONFIG. `hashmatch init` makes a new installation."
    )


class SettingsUnreadable(ConfigError):
    message = "{source} cannot be read: {problem}."
    remedy = (
        "Correct that, or name another file with `hashmatch --config FILE` or HASHMATCH_CONFIG."
    )


_PREFIX = "HASHMATCH_"


class Settings(BaseSettings):
    """All settings, and the folder that relative paths in them start from."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    s3: S3 = S3()
    clips: Clips = Clips()
    vault: Vault = Vault()
    database: Database = Database()
    lists: Lists = Lists()
    decode: Decode = Decode()
    match: Matching = Matching()
    run: Run = Run()
    audit: Audit = Audit()
    anchors: Anchors = Anchors()
    anchor_bucket: AnchorBucket = AnchorBucket()
    withdraw: Withdraw = Withdraw()
    custody: Custody = Custody()
    review: Review = Review()
    people: People = People()
    report: Report = Report()
    _home: Path = PrivateAttr(default_factory=Path.cwd)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings

    @model_validator(mode="before")
    @classmethod
    def _share(cls, given: dict[str, Any]) -> dict[str, Any]:
        taken = inherited(given)
        return {**given, **{name: {**given[name], **taken[name]} for name in taken}}

    @property
    def home(self) -> Path:
        return self._home

    def path(self, relative: str) -> Path:
        """A path of the settings, absolute."""
        return (self._home / relative).absolute()


def load(file: Path | None = None) -> Settings:
    """The settings of `file`, or of hashmatch.toml in this folder, under those of the environment.

    Without a file in this folder the environment alone may give them. Raises ConfigError.
    """
    source, given = read(file)
    _refuse_unknown_variables()
    try:
        settings = Settings(**given)
    except SettingsError:
        problem = "not JSON, as which lists are written in the environment: '[\"*.mp4\"]'"
        raise ConfigError(source=next(_not_json(), "environment"), problem=problem) from None
    except ValidationError as error:
        where = _source_of(error, source)
        raise ConfigError(source=where, problem=_explain(error, where)) from None
    settings._home = source.parent.absolute()
    return settings


def read(file: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The settings file, and what is in it, not checked yet. Raises ConfigError."""
    source = file or Path(FILE)
    try:
        return source, tomllib.loads(source.read_text("utf-8-sig"))  # some editors write a mark
    except FileNotFoundError:
        if file is not None or not any(_named_in_environment()):
            raise SettingsMissing(source=source.absolute()) from None
        return source, {}
    except OSError as error:
        raise SettingsUnreadable(source=source, problem=error.strerror) from None
    except UnicodeDecodeError:
        raise SettingsUnreadable(source=source, problem="it is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source=source, problem=str(error)) from None


def variable(section: str, key: str) -> str | None:
    """The environment variable that gives a setting now, if one does."""
    whole, own = f"{_PREFIX}{section}".upper(), f"{_PREFIX}{section}__{key}".upper()
    for name in os.environ:
        if name.upper() == own:
            return name
    for name, value in os.environ.items():
        if name.upper() == whole and key in json.loads(value):
            return name
    return None


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The name and the class of each section, in their order."""
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        yield name, section


def _named_in_environment() -> Iterator[str]:
    return (name for name in os.environ if name.startswith(_PREFIX) and "__" in name)


def _refuse_unknown_variables() -> None:
    known = {
        f"{_PREFIX}{name}__{key}".upper() for name, kind in sections() for key in kind.model_fields
    }
    # Other programs' variables may begin alike, so of those without "__" only what must be a slip.
    slips = {name.replace("__", "_"): name for name in known}
    for name in os.environ:
        if name.upper() in slips:
            problem = f"no such setting; did you mean {slips[name.upper()]}?"
            raise ConfigError(source=name, problem=problem)
    for name in _named_in_environment():
        if name.upper() not in known:
            problem = "no such setting" + _suggest(name.upper(), known)
            raise ConfigError(source=name, problem=problem)


def _not_json() -> Iterator[str]:
    """The variables that should hold JSON, for a list or a whole section, and do not."""
    wanted = {f"{_PREFIX}{name}".upper() for name, _ in sections()}
    for name, kind in sections():
        fields = kind.model_fields.items()
        lists = (key for key, field in fields if get_origin(field.annotation) is tuple)
        wanted |= {f"{_PREFIX}{name}__{key}".upper() for key in lists}
    for name, value in os.environ.items():
        if name.upper() in wanted:
            try:
                json.loads(value)
            except ValueError:
                yield name


def _suggest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _variable_of(loc: Sequence[int | str]) -> str | None:
    """The environment's variable that gave this setting, if one did."""
    if len(loc) > 1:
        return variable(str(loc[0]), str(loc[1]))
    whole = f"{_PREFIX}{loc[0]}".upper()
    return next((name for name in os.environ if name.upper() == whole), None)


def _source_of(error: ValidationError, file: Path) -> str | Path:
    """Where what is wrong was said: the file, or the variables if all of it was there."""
    variables = [_variable_of(item["loc"]) for item in error.errors(include_input=False)]
    if None in variables:
        return file
    return ", ".join(dict.fromkeys(name for name in variables if name is not None))


def _explain(error: ValidationError, where: str | Path) -> str:
    """Each problem with its setting's name, and no value: it may be a secret.

    where: what the message says of all of them.
    """
    known_sections = dict(sections())
    problems = []
    for item in error.errors(include_input=False, include_url=False):
        section, *rest = (str(part) for part in item["loc"])
        name = f"[{section}] {'.'.join(rest)}" if rest else f"[{section}]"
        if (variable := _variable_of(item["loc"])) is not None and variable != where:
            name = f"{name} (of {variable})"
        if item["type"] == "extra_forbidden":
            known = set(known_sections[section].model_fields) if rest else set(known_sections)
            problems.append(
                f"{name}: no such setting{_suggest(rest[0] if rest else section, known)}"
            )
        else:
            problems.append(f"{name}: {item['msg']}")
    return "; ".join(problems)
