"""The sections of the settings: each with its names, types, limits, defaults and what it is for."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from hashmatch.model import Sampling
from hashmatch.renditions import HIGHEST, LOWEST, Pattern


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Storage(Section):
    """Where objects live. A folder, or file://, s3://bucket/prefix, gs://…, az://…."""

    url: str = Field(description="A folder, or an object-store URL: file:// s3:// gs:// az://")
    endpoint: str | None = Field(None, description="S3 endpoint; else the one of [s3]")
    region: str | None = Field(None, description="S3 region; else the one of [s3]")
    access_key_id: str | None = Field(
        None, description="With secret_access_key; else the two of [s3]"
    )
    secret_access_key: SecretStr | None = Field(None, description="See access_key_id")
    timeout_seconds: float = Field(60, gt=0, description="How long one request may take")
    retries: int = Field(5, ge=0, description="How often a failing request is tried again")


class S3(Section):
    """What every s3:// storage uses that does not say it itself: see `config.shared`."""

    endpoint: str | None = Field(
        None, description="S3 endpoint, where it is not Amazon's; else AWS_ENDPOINT_URL"
    )
    region: str | None = Field(None, description="else AWS_REGION, or what AWS_PROFILE has")
    access_key_id: str | None = Field(
        None, description="else AWS_ACCESS_KEY_ID, AWS_PROFILE, or the instance's role"
    )
    secret_access_key: SecretStr | None = Field(None, description="else as access_key_id")


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
    least_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the clips that the last scan found which storage must list; fewer, or "
        "none at all, is an alarm. 0: never",
    )
    least_known: int = Field(
        10, ge=1, description="With fewer clips found before, only an empty listing is that alarm"
    )
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
        "keys/audit.key",
        description="Private key (PEM, mode 0600) that signs checkpoints; or, to verify, its public key",
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
    log_level: Literal["auto", "debug", "info", "notice", "warning", "error"] = Field(
        "auto",
        description="info has a line for every clip, notice how runs begin and end; auto: info, on a "
        "terminal warning",
    )
