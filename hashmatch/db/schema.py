"""The tables, as SQLAlchemy typed models. `alembic/` holds the same as migrations.

Times are stored as UTC and come back aware on every database (`UtcDateTime`). The log tables
(`leaf`, `checkpoint`) refuse UPDATE and DELETE by triggers that the first migration makes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite gives rowids only to INTEGER PRIMARY KEY; PostgreSQL needs eight bytes.
Id = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime. A naive one is a programming error and is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[dict[str, float]] | None: JSON(),
        bytes: LargeBinary(),
    }


class ClipRow(Base):
    """The ledger: one row a clip, what is known of it and when to look at it again.

    `scanned_etag` is the version that `outcome` speaks of; it differs from `etag` while the
    newest version waits for its scan. Clips with the same `rendition_of` are one clip at several
    heights; `listed_run` is the last run that listed such a one. `salt` opens the commitment by
    which leaves name the clip (`audit.commitments`).
    """

    __tablename__ = "clip"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    etag: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    modified: Mapped[datetime]
    platform_id: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime | None]
    channel: Mapped[str | None] = mapped_column(Text)
    visibility: Mapped[str | None] = mapped_column(String(32))
    views: Mapped[int | None] = mapped_column(BigInteger)
    rendition_of: Mapped[str | None] = mapped_column(Text)
    height: Mapped[int | None]
    listed_run: Mapped[str | None] = mapped_column(String(32))

    scanned_etag: Mapped[str | None] = mapped_column(Text)
    scanned_at: Mapped[datetime | None]
    scanned_run: Mapped[str | None] = mapped_column(ForeignKey("run.id"))
    list_set: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    coverage: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None]
    salt: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (
        Index(None, "retry_at"),
        Index(None, "scanned_run"),
        Index(None, "rendition_of"),
    )


class FingerprintRow(Base):
    """What a clip is remembered by: one row a clip and recipe. `frames` is packed, see db.packing.

    `seen_by`: the key of the rendition whose frames speak for this clip, which was not decoded.
    """

    __tablename__ = "fingerprint"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    etag: Mapped[str] = mapped_column(Text)
    md5: Mapped[str | None] = mapped_column(String(32))
    sha1: Mapped[str | None] = mapped_column(String(40))
    sha256: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    bytes_read: Mapped[int | None] = mapped_column(BigInteger)
    duration: Mapped[float | None]
    seen: Mapped[float]
    sampling: Mapped[str | None] = mapped_column(String(16))
    trouble: Mapped[str | None] = mapped_column(String(32))
    seen_by: Mapped[str | None] = mapped_column(Text)
    recipe: Mapped[str] = mapped_column(String(64))
    frames: Mapped[bytes]
    made_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("clip_id", "recipe"), Index(None, "recipe"))


class RunRow(Base):
    """One execution of the job. `host`: which machine, see `custody.host`."""

    __tablename__ = "run"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    selection: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    software: Mapped[str] = mapped_column(String(32))
    recipes: Mapped[dict[str, Any]]
    list_set: Mapped[str | None] = mapped_column(String(64))
    lists: Mapped[dict[str, Any]]
    listed: Mapped[int] = mapped_column(default=0)
    skipped_unchanged: Mapped[int] = mapped_column(default=0)
    quarantined: Mapped[int] = mapped_column(default=0)
    canary: Mapped[str] = mapped_column(String(16), default="pending")
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)
    exit_code: Mapped[int | None]
    host: Mapped[str | None] = mapped_column(String(32))

    __table_args__ = (
        CheckConstraint(
            "status in ('running', 'finished', 'stopped', 'failed', 'interrupted')", name="status"
        ),
    )


class WorkRow(Base):
    """One clip's turn in one run: waiting, leased with its shard to a worker, or done.

    `seen_by`: the key of the rendition that was decoded in this clip's place. `leaf`: the `seq` of
    the leaf that says what came of it. `notes`: what there is to say beside outcome and reason, as a
    list of sentences; None for nothing.
    """

    __tablename__ = "work"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    shard: Mapped[int]
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    worker: Mapped[str | None] = mapped_column(String(64))
    leased_at: Mapped[datetime | None]
    deaths: Mapped[int] = mapped_column(SmallInteger, default=0)
    etag: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    seconds: Mapped[float | None]
    seen_by: Mapped[str | None] = mapped_column(Text)
    leaf: Mapped[int | None] = mapped_column(BigInteger)
    notes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))

    __table_args__ = (
        UniqueConstraint("run_id", "clip_id"),
        Index(None, "run_id", "state", "shard"),
        CheckConstraint("state in ('waiting', 'leased', 'done')", name="state"),
        CheckConstraint("(state = 'done') = (outcome is not null)", name="outcome"),
    )


class ShardRow(Base):
    """Clips that a run compared from what is stored, in one step, in the order of their ids.

    Those whose outcome stands have no row of their own in `work`: `kept` counts them by outcome,
    `reasons` the unscannable ones by reason. digest: the root over what the run says of every clip
    of the shard (`audit.coverage`), in hex.
    """

    __tablename__ = "shard"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    number: Mapped[int]
    first_clip: Mapped[int] = mapped_column(BigInteger)
    last_clip: Mapped[int] = mapped_column(BigInteger)
    clips: Mapped[int]
    kept: Mapped[dict[str, Any]]
    reasons: Mapped[dict[str, Any]]
    digest: Mapped[str] = mapped_column(String(64))
    done_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("run_id", "number"),)


class ListSetRow(Base):
    """What `clip.list_set` stands for: the lists that acted, and the rules of comparing."""

    __tablename__ = "list_set"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    made_at: Mapped[datetime]
    state: Mapped[dict[str, Any]]


class ListRow(Base):
    """A partner's hash list and which of its versions acts, if any."""

    __tablename__ = "list"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[datetime]
    active_version: Mapped[int | None]
    previous_version: Mapped[int | None]
    action: Mapped[str] = mapped_column(String(16), default="quarantine")
    distance: Mapped[int | None]
    orientations: Mapped[str] = mapped_column(
        String(16), default="mirrored", server_default="mirrored"
    )


class ListVersionRow(Base):
    """One imported, immutable state of a list. `options`: how its files were read.

    removed_at: its entries are gone since then; the row stays, and with it the number.
    """

    __tablename__ = "list_version"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    list_name: Mapped[str] = mapped_column(ForeignKey("list.name"))
    version: Mapped[int]
    source: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    format: Mapped[str] = mapped_column(String(16))
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    imported_at: Mapped[datetime]
    imported_by: Mapped[str] = mapped_column(Text)
    entries: Mapped[int]
    hashes: Mapped[int]
    rejected: Mapped[int]
    algorithms: Mapped[dict[str, Any]]
    removed_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("list_name", "version"),)


class EntryRow(Base):
    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("list_version.id"))
    entry_id: Mapped[str] = mapped_column(Text)
    media: Mapped[str] = mapped_column(String(8))
    classification: Mapped[str | None] = mapped_column(Text)
    extra: Mapped[dict[str, Any] | None]

    __table_args__ = (UniqueConstraint("version_id", "entry_id"),)


class EntryHashRow(Base):
    __tablename__ = "entry_hash"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    entry: Mapped[int] = mapped_column(ForeignKey("entry.id"))
    algorithm: Mapped[str] = mapped_column(String(8))
    bits: Mapped[bytes]
    timestamp: Mapped[float | None]
    quality: Mapped[int | None] = mapped_column(SmallInteger)

    __table_args__ = (Index(None, "entry"),)


class DisabledEntryRow(Base):
    """An entry that must not act, in whatever version of its list it appears."""

    __tablename__ = "disabled_entry"

    list_name: Mapped[str] = mapped_column(ForeignKey("list.name"), primary_key=True)
    entry_id: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    disabled_at: Mapped[datetime]
    disabled_by: Mapped[str] = mapped_column(Text)


class MatchRow(Base):
    __tablename__ = "match"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    etag: Mapped[str] = mapped_column(Text)
    list_name: Mapped[str] = mapped_column(ForeignKey("list.name"))
    version: Mapped[int]
    entry_id: Mapped[str] = mapped_column(Text)
    classification: Mapped[str | None] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(16))
    algorithm: Mapped[str] = mapped_column(String(8))
    distance: Mapped[int]
    start: Mapped[float]
    end: Mapped[float]
    frames: Mapped[int]
    variant: Mapped[str] = mapped_column(String(16))
    listed: Mapped[int | None]
    found: Mapped[int | None]
    shows: Mapped[int | None]
    covered: Mapped[float | None]
    pictures: Mapped[int | None]
    typical: Mapped[int | None]
    copy: Mapped[float | None]
    stretches: Mapped[list[dict[str, float]] | None]

    __table_args__ = (Index(None, "clip_id"), Index(None, "run_id"))


class CaseRow(Base):
    """A clip taken into custody. `id` is keyed: it says nothing of the clip to who lacks the key.

    `case_key` is the public half of the key that the clip is sealed to; the vault holds the private
    half, sealed for the custodians (`key_size`, `key_sha256`), and the sealed manifest. Cases with
    the same `rendition_of` are one clip at several heights.
    """

    __tablename__ = "case"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    clip_key: Mapped[str] = mapped_column(Text)
    rendition_of: Mapped[str | None] = mapped_column(Text)
    etag: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    detected_at: Mapped[datetime]
    vault_key: Mapped[str] = mapped_column(Text)
    case_key: Mapped[str | None] = mapped_column(String(64))
    key_size: Mapped[int | None] = mapped_column(BigInteger)
    key_sha256: Mapped[str | None] = mapped_column(String(64))
    sealed_size: Mapped[int | None] = mapped_column(BigInteger)
    sealed_sha256: Mapped[str | None] = mapped_column(String(64))
    manifest_size: Mapped[int | None] = mapped_column(BigInteger)
    manifest_sha256: Mapped[str | None] = mapped_column(String(64))
    verified_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    reported_at: Mapped[datetime | None]
    report_reference: Mapped[str | None] = mapped_column(Text)
    released_at: Mapped[datetime | None]
    destroyed_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("clip_id", "etag"),
        Index(None, "state"),
        CheckConstraint(
            "state in ('detected', 'sealed', 'verified', 'withdrawn', 'removed', 'held',"
            " 'reported', 'released', 'destroyed', 'lost')",
            name="state",
        ),
    )


class CaseStepRow(Base):
    """One thing done to a case: what was to be done, how often it was tried, what came of it.

    At most one step of a kind is open (`ended_at` is null) in a case. `leaf`, `end_leaf`: the leaves
    that say so.
    """

    __tablename__ = "case_step"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("case.id"))
    step: Mapped[str] = mapped_column(String(16))
    intended_at: Mapped[datetime]
    by: Mapped[str | None] = mapped_column(Text)
    leaf: Mapped[int] = mapped_column(BigInteger)
    ended_at: Mapped[datetime | None]
    end_leaf: Mapped[int | None] = mapped_column(BigInteger)
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (Index(None, "case_id", "step"),)


class OutboxRow(Base):
    """What the platform is to be told about a case, until it has answered. `id` never changes."""

    __tablename__ = "outbox"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("case.id"))
    kind: Mapped[str] = mapped_column(String(32))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime | None]
    poll_url: Mapped[str | None] = mapped_column(Text)
    answered_at: Mapped[datetime | None]
    answer: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problem: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index(None, "case_id", "kind"),)


class HoldRow(Base):
    """A legal hold on a case. It ends when it is lifted, not before."""

    __tablename__ = "hold"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("case.id"))
    reason: Mapped[str] = mapped_column(Text)
    placed_at: Mapped[datetime]
    placed_by: Mapped[str] = mapped_column(Text)
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(Text)
    lift_reason: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index(None, "case_id"),)


class RequestRow(Base):
    """What one person asked to be done to a case, and another confirmed, or did not in time."""

    __tablename__ = "request"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("case.id"))
    kind: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    confirmed_by: Mapped[str | None] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end: Mapped[str | None] = mapped_column(String(16))

    __table_args__ = (
        Index(None, "case_id"),
        CheckConstraint("kind in ('release', 'destroy', 'forget')", name="kind"),
        CheckConstraint("confirmed_by is null or confirmed_by <> asked_by", name="two_people"),
    )


class ReviewRow(Base):
    """A version of a clip that a person has to decide about. `id` is keyed, as a case's is."""

    __tablename__ = "review"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    etag: Mapped[str] = mapped_column(Text)
    run_id: Mapped[str] = mapped_column(ForeignKey("run.id"))
    opened_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16), default="open")
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("clip_id", "etag"),
        Index(None, "state", "opened_at"),
        CheckConstraint("state in ('open', 'confirmed', 'rejected', 'gone')", name="state"),
    )


class DecisionRow(Base):
    """What a person said of one entry's match on one clip: right, or wrong.

    sha256: of the clip's bytes, where they were read whole.
    """

    __tablename__ = "decision"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    list_name: Mapped[str] = mapped_column(ForeignKey("list.name"))
    version: Mapped[int]
    entry_id: Mapped[str] = mapped_column(Text)
    classification: Mapped[str | None] = mapped_column(Text)
    clip_id: Mapped[int] = mapped_column(ForeignKey("clip.id"))
    etag: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(String(64))
    right: Mapped[bool]
    by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        Index(None, "list_name", "entry_id"),
        Index(None, "clip_id"),
        Index(None, "sha256"),
    )


class StandingRow(Base):
    """What an entry's decisions made of it, by its id in all versions of its list.

    counted_from: only decisions with a greater id count, since somebody trusted it again.
    """

    __tablename__ = "standing"

    list_name: Mapped[str] = mapped_column(ForeignKey("list.name"), primary_key=True)
    entry_id: Mapped[str] = mapped_column(Text, primary_key=True)
    level: Mapped[str] = mapped_column(String(8))
    since: Mapped[datetime]
    counted_from: Mapped[int] = mapped_column(BigInteger)
    trusted_at: Mapped[datetime | None]
    trusted_by: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (CheckConstraint("level in ('acts', 'flagged', 'demoted')", name="level"),)


class OpeningRow(Base):
    """What opens a commitment in the log: its salt and value. Deleting it closes it for ever.

    subject: whose it is, such as a case's id, so that all of one can be destroyed.
    """

    __tablename__ = "opening"

    commitment: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    salt: Mapped[bytes]
    value: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index(None, "subject", "kind"),)


class AnchorRow(Base):
    """A checkpoint handed to somebody who keeps it: when, with what receipt, or why not yet."""

    __tablename__ = "anchor"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    size: Mapped[int] = mapped_column(ForeignKey("checkpoint.size"))
    kind: Mapped[str] = mapped_column(String(16))
    tried_at: Mapped[datetime]
    anchored_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str | None] = mapped_column(Text)
    receipt: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (UniqueConstraint("size", "kind"),)


class KnownRow(Base):
    """What was last seen of settings and keys, so that a change of them gets a leaf."""

    __tablename__ = "known"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class LeafRow(Base):
    """One entry of the audit log; `seq` counts from 0 without gaps."""

    __tablename__ = "leaf"

    seq: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    body: Mapped[bytes]
    hash: Mapped[bytes]

    __table_args__ = (Index(None, "kind"),)


class TreeHeadRow(Base):
    """The one row that every append locks: the log's size and the roots of its perfect subtrees."""

    __tablename__ = "tree_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)
    frontier: Mapped[bytes]


class CheckpointRow(Base):
    """A signed statement of the log's size and root hash."""

    __tablename__ = "checkpoint"

    size: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
