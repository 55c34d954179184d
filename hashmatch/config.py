"""Typed settings: command line > environment > hashmatch.toml > defaults.

    settings = load(Path("hashmatch.toml"))
    settings.clips.url

Every setting `[section] key` can be given as HASHMATCH_SECTION__KEY. Names nobody knows are refused,
in the file and in the environment: a misspelt limit would otherwise be no limit.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from hashmatch.errors import ConfigError
from hashmatch.model import Sampling
from hashmatch.renditions import HIGHEST, LOWEST, Pattern

FILE = "hashmatch.toml"
_PREFIX = "HASHMATCH_"


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Storage(Section):
    """Where objects live. A folder, or file://, s3://bucket/prefix, gs://…, az://…."""

    url: str = Field(description="A folder, or an object-store URL: file:// s3:// gs:// az://")
    endpoint: str | None = Field(None, description="S3 endpoint, where it is not Amazon's")
    region: str | None = Field(None, description="S3 region; else AWS_REGION")
    access_key_id: str | None = Field(
        None, description="else AWS_ACCESS_KEY_ID, or the instance's role"
    )
    secret_access_key: SecretStr | None = Field(None, description="else AWS_SECRET_ACCESS_KEY")
    timeout_seconds: float = Field(60, gt=0, description="How long one request may take")
    retries: int = Field(5, ge=0, description="How often a failing request is tried again")


class Clips(Storage):
    url: str = Field("clips", description="Clip storage: a folder, or file:// s3:// gs:// az://")
    include: tuple[str, ...] = Field(("**",), description="Globs of the keys to look at")
    exclude: tuple[str, ...] = Field((), description="Globs of the keys to leave out")
    feed: str | None = Field(
        None,
        description="NDJSON file with what the platform knows of its clips (id, key, created, …)",
    )
    exclude_private: bool = Field(False, description="Leave out clips that the feed calls private")
    max_bytes: int = Field(20 * 2**30, gt=0, description="A larger clip is unscannable: too-large")
    renditions: str = Field(
        "",
        description="How keys name the heights of one clip, made by the platform from one upload: "
        "{id}/{height}.mp4. One of them is decoded, a match takes all. Empty: each is a clip",
    )
    rendition_height: int = Field(
        360, ge=LOWEST, le=HIGHEST, description="The smallest rendition from this height is decoded"
    )

    @field_validator("renditions")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        if pattern:
            Pattern(pattern)
        return pattern


class Vault(Storage):
    url: str = Field("vault", description="Where sealed clips go; never inside clip storage")
    recipients: tuple[str, ...] = Field(
        (), description="age public keys, at least two: the custodian's and the break-glass key's"
    )
    lock_days: int = Field(
        0,
        ge=0,
        description="S3 object lock: days for which no one can remove what is written, but who may "
        "bypass governance mode",
    )


class Database(Section):
    url: str = Field(
        "sqlite:///hashmatch.db",
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME",
        repr=False,
    )


class Lists(Section):
    max_age_days: int = Field(30, gt=0, description="A scan refuses to run on an older import")
    max_rejected: float = Field(
        0.01, ge=0, le=1, description="Share of bad rows at which a file is refused whole"
    )
    max_shrink: float = Field(
        0.2, ge=0, le=1, description="Share of entries a new version may lack of the active one's"
    )


class Decode(Section):
    sampling: Sampling = Field(
        Sampling.REFERENCE,
        description="keyframes (MP4 and MOV: only they are read, if no list has file digests), "
        "reference (all frames that others may refer to) or every",
    )
    max_gap_seconds: float = Field(
        0.25, gt=0, description="Reference frames further apart: every frame is taken"
    )
    # Live platforms ask for a keyframe every 2 s and take up to 4.
    max_keyframe_gap_seconds: float = Field(
        5, gt=0, description="Keyframes further apart: reference frames are taken too"
    )
    min_coverage: float = Field(
        0.95, gt=0, le=1, description="Seconds seen / seconds there, below which a clip is partial"
    )
    max_seconds: float = Field(600, gt=0, description="Wall-clock and CPU seconds a clip may take")
    max_memory: int = Field(3 * 2**30, ge=2**30, description="Bytes of address space of a decoder")
    max_pixels: int = Field(8192 * 8192, ge=64 * 64, description="Pixels a frame may have")


class Matching(Section):
    distance: int = Field(31, ge=0, le=31, description="Bits that a PDQ hash may differ by")
    quality: int = Field(
        50, ge=0, le=100, description="PDQ quality below which frames are not compared"
    )
    min_frames: int = Field(
        2, ge=1, description="Distinct frames on one entry that make a match; fewer are for review"
    )
    copy_score: float = Field(
        4.0,
        ge=1,
        description="Decades of evidence for a copy, not the same room, that need no second look",
    )
    review_score: float = Field(
        1.0, ge=0, description="As copy_score, for what is shown to a reviewer"
    )
    breaker_clips: int = Field(
        50, ge=1, description="Clips one entry may take in a run; the rest goes to review"
    )
    breaker_share: float = Field(
        0.2, gt=0, le=1, description="Share of a run's clips one entry may take (from 20 clips on)"
    )


class Run(Section):
    workers: int = Field(0, ge=0, description="Worker processes; 0: one a CPU")
    shard_size: int = Field(64, ge=1, description="Clips leased to a worker at a time")
    max_attempts: int = Field(5, ge=1, description="Looks at a clip whose trouble may pass")
    retry_minutes: float = Field(
        30, ge=0, description="Wait before the second look; doubled for each further one"
    )
    state: str = Field("state", description="Folder for the compiled lists, locks and spool files")


class Audit(Section):
    origin: str = Field("hashmatch.example/log", description="The log's name in its checkpoints")
    key: str = Field(
        "keys/audit.key", description="Private key (PEM, mode 0600) that signs checkpoints"
    )
    id_key: str = Field("keys/id.key", description="Secret (mode 0600) that names records in logs")

    @field_validator("origin")
    @classmethod
    def _check_origin(cls, origin: str) -> str:
        if not origin or "+" in origin or " " in origin or not origin.isprintable():
            raise ValueError("a log's name is not empty and has neither spaces nor plus signs")
        return origin


class Anchors(Section):
    """Who gets each checkpoint, beside the database. Every one that is set."""

    folder: str | None = Field(None, description="A folder, best on another host, for checkpoints")
    timestamp_url: str | None = Field(
        None, description="RFC 3161 time-stamp authority that signs when a checkpoint existed"
    )
    timestamp_roots: str | None = Field(
        None, description="PEM file of the authority's root certificates"
    )
    command: tuple[str, ...] = Field(
        (), description="A program and its arguments; gets each checkpoint on its stdin"
    )
    timeout_seconds: float = Field(20, gt=0, description="How long one of them may take")


class AnchorBucket(Storage):
    """A bucket that gets each checkpoint, best with object lock and other credentials."""

    url: str = Field("", description="An S3 bucket that gets each checkpoint: s3://bucket/prefix")
    lock_days: int = Field(
        365, ge=0, description="Object lock: days for which no one can remove a checkpoint"
    )


class Withdraw(Section):
    """How the platform is told to take a clip down, before its original goes."""

    how: Literal["nothing", "webhook", "command"] = Field(
        "nothing", description="How the platform is told to disable a clip: webhook or command"
    )
    url: str | None = Field(None, description="Where the webhook is sent: https://…")
    secret: SecretStr | None = Field(
        None,
        description="whsec_…, which signs it (Standard Webhooks); two while one replaces the other",
    )
    command: tuple[str, ...] = Field(
        (), description="A program and its arguments; gets the same JSON on its stdin"
    )
    timeout_seconds: float = Field(10, gt=0, description="How long one request or command may take")
    wait_seconds: float = Field(
        60, ge=0, description="How long a run waits for one clip's answer; the next run asks again"
    )


class Custody(Section):
    confirm_hours: float = Field(
        72,
        gt=0,
        le=8760,
        description="Within which a second person must confirm what the first asked",
    )
    retention: str | None = Field(
        None, description="Retention rules; else those that come with hashmatch"
    )
    jurisdictions: tuple[str, ...] = Field(
        (), description="Whose retention rules apply: US, UK, CA, or what your rules name"
    )


class Review(Section):
    flag_after: int = Field(
        3, ge=1, description="Rejected matches from which an entry is flagged in reviews"
    )
    demote_after: int = Field(
        5, ge=1, description="Rejected matches from which an entry's matches only go to review"
    )


class People(Section):
    """Who may do what, by the names of their accounts on this host. Empty: anyone, except what
    takes two people.
    """

    operators: tuple[str, ...] = Field((), description="Accounts that run scans and manage lists")
    reviewers: tuple[str, ...] = Field((), description="Accounts that decide near matches")
    custodians: tuple[str, ...] = Field(
        (), description="Accounts that open, hold, report, release and destroy; two at least"
    )
    auditors: tuple[str, ...] = Field((), description="Accounts that read and export the log")


class Report(Section):
    metrics: str | None = Field(
        None, description="Prometheus textfile to write at the end of a run"
    )
    log_format: Literal["auto", "plain", "json"] = Field(
        "auto", description="auto: plain lines on a terminal, JSON lines otherwise"
    )


class Settings(BaseSettings):
    """All settings, and the folder that relative paths in them start from."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

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
    source = file or Path(FILE)
    try:
        given = tomllib.loads(source.read_text("utf-8"))
    except FileNotFoundError:
        if file is not None or not any(_named_in_environment()):
            raise ConfigError(source=source, problem="there is no such file") from None
        given = {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(source=source, problem=str(error)) from None
    _refuse_unknown_variables()
    try:
        settings = Settings(**given)
    except SettingsError:
        problem = "not JSON, as which lists are written in the environment: '[\"*.mp4\"]'"
        raise ConfigError(source=next(_not_json(), "environment"), problem=problem) from None
    except ValidationError as error:
        raise ConfigError(source=source, problem=_explain(error)) from None
    settings._home = source.parent.absolute()
    return settings


def render(values: Mapping[str, Mapping[str, Any]]) -> str:
    """hashmatch.toml with every setting and what it is for; those in `values` are set."""
    lines = [
        "# hashmatch: every setting, with its default. Each can also be given as an environment",
        "# variable: [clips] url is HASHMATCH_CLIPS__URL. Relative paths start from this file's folder.",
    ]
    for name, section in _sections():
        lines += ["", f"[{name}]"]
        for key, field in section.model_fields.items():
            lines.append(f"# {field.description}")
            value = values.get(name, {}).get(key)
            shown = _toml(field.default if value is None else value)
            lines.append(f"{'# ' if value is None else ''}{key} = {shown}")
    return "\n".join(lines) + "\n"


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        yield name, section


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    text = str(value or "").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _named_in_environment() -> Iterator[str]:
    return (name for name in os.environ if name.startswith(_PREFIX) and "__" in name)


def _refuse_unknown_variables() -> None:
    known = {
        f"{_PREFIX}{name}__{key}".upper() for name, kind in _sections() for key in kind.model_fields
    }
    for name in _named_in_environment():
        if name.upper() not in known:
            problem = "no such setting" + _suggest(name.upper(), known)
            raise ConfigError(source=name, problem=problem)


def _not_json() -> Iterator[str]:
    """The variables that should hold JSON, for a list or a whole section, and do not."""
    wanted = {f"{_PREFIX}{name}".upper() for name, _ in _sections()}
    for name, kind in _sections():
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


def _explain(error: ValidationError) -> str:
    """Each problem with its setting's name, and no value: it may be a secret."""
    sections = dict(_sections())
    problems = []
    for item in error.errors(include_input=False, include_url=False):
        section, *rest = (str(part) for part in item["loc"])
        name = f"[{section}] {'.'.join(rest)}" if rest else f"[{section}]"
        if item["type"] == "extra_forbidden":
            known = set(sections[section].model_fields) if rest else set(sections)
            problems.append(
                f"{name}: no such setting{_suggest(rest[0] if rest else section, known)}"
            )
        else:
            problems.append(f"{name}: {item['msg']}")
    return "; ".join(problems)
