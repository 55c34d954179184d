"""Typed settings: command line > environment > hashmatch.toml > defaults.

    settings = load(Path("hashmatch.toml"))
    settings.clips.url

Every setting `[section] key` can be given as HASHMATCH_SECTION__KEY. Names nobody knows are refused,
in the file and in the environment: a misspelt limit would otherwise be no limit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from hashmatch.model import Sampling


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Storage(Section):
    """Where objects live. A folder, or file://, s3://bucket/prefix, gs://…, az://…."""

    url: str = Field(description="A folder, or an object-store URL: file:// s3:// gs:// az://")
    endpoint: str | None = Field(None, description="S3 endpoint, where it is not Amazon's")
    region: str | None = Field(None, description="S3 region; else AWS_REGION")
    access_key_id: str | None = Field(None, description="else AWS_ACCESS_KEY_ID, or the instance's role")
    secret_access_key: SecretStr | None = Field(None, description="else AWS_SECRET_ACCESS_KEY")
    timeout_seconds: float = Field(60, gt=0, description="How long one request may take")
    retries: int = Field(5, ge=0, description="How often a failing request is tried again")


class Clips(Storage):
    url: str = Field("clips", description="Clip storage: a folder, or file:// s3:// gs:// az://")
    include: tuple[str, ...] = Field(("**",), description="Globs of the keys to look at")
    exclude: tuple[str, ...] = Field((), description="Globs of the keys to leave out")
    feed: str | None = Field(
        None, description="NDJSON file with what the platform knows of its clips (id, key, created, …)"
    )
    exclude_private: bool = Field(False, description="Leave out clips that the feed calls private")
    max_bytes: int = Field(20 * 2**30, gt=0, description="A larger clip is unscannable: too-large")


class Vault(Storage):
    url: str = Field("vault", description="Where sealed clips go; never inside clip storage")
    recipients: tuple[str, ...] = Field(
        (), description="age public keys, at least two: the custodian's and the break-glass key's"
    )


class Database(Section):
    url: str = Field(
        "sqlite:///hashmatch.db", description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
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
        Sampling.REFERENCE, description="keyframes, reference (keyframes and P frames) or every"
    )
    max_gap_seconds: float = Field(
        0.25, gt=0, description="Frames further apart: the next denser sampling is taken"
    )
    min_coverage: float = Field(
        0.95, gt=0, le=1, description="Seconds seen / seconds there, below which a clip is partial"
    )
    max_seconds: float = Field(600, gt=0, description="Wall-clock and CPU seconds a clip may take")
    max_memory: int = Field(3 * 2**30, ge=2**30, description="Bytes of address space of a decoder")
    max_pixels: int = Field(8192 * 8192, ge=64 * 64, description="Pixels a frame may have")


class Matching(Section):
    distance: int = Field(31, ge=0, le=31, description="Bits that a PDQ hash may differ by")
    quality: int = Field(50, ge=0, le=100, description="PDQ quality below which frames are not compared")
    min_frames: int = Field(
        2, ge=1, description="Distinct frames on one entry that make a match; fewer are for review"
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
    key: str = Field("keys/audit.key", description="Private key (PEM, mode 0600) that signs checkpoints")
    id_key: str = Field("keys/id.key", description="Secret (mode 0600) that names records in logs")


class Report(Section):
    metrics: str | None = Field(None, description="Prometheus textfile to write at the end of a run")
    log_format: Literal["auto", "plain", "json"] = Field(
        "auto", description="auto: plain lines on a terminal, JSON lines otherwise"
    )


class Settings(Section):
    """All settings, and the folder that relative paths in them start from."""

    clips: Clips = Clips()
    vault: Vault = Vault()
    database: Database = Database()
    lists: Lists = Lists()
    decode: Decode = Decode()
    match: Matching = Matching()
    run: Run = Run()
    audit: Audit = Audit()
    report: Report = Report()
    home: Path = Field(default=Path(), exclude=True)

    def path(self, relative: str) -> Path:
        """A path of the settings, absolute."""
        return (self.home / relative).absolute()
