"""The first tables, the audit log's triggers, and its empty tree.

Revision: 0001, the first. There is no way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

REFUSAL = "the audit log only grows"

SQLITE_TRIGGERS = (
    "CREATE TRIGGER {table}_keeps_update BEFORE UPDATE ON {table}"
    " BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
    "CREATE TRIGGER {table}_keeps_delete BEFORE DELETE ON {table}"
    " BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
    # INSERT OR REPLACE deletes without calling the trigger for DELETE.
    "CREATE TRIGGER {table}_keeps_insert BEFORE INSERT ON {table}"
    " WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"
    " BEGIN SELECT RAISE(ABORT, '{refusal}'); END",
)

POSTGRES_FUNCTION = f"""
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END;
$$
"""

POSTGRES_TRIGGER = """
CREATE TRIGGER {table}_keeps BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    tables()
    triggers()
    op.execute(
        sa.table("tree_head", sa.column("id"), sa.column("size"), sa.column("frontier"))
        .insert()
        .values(id=1, size=0, frontier=sa.literal(b"", sa.LargeBinary()))
    )


def triggers() -> None:
    """Nobody changes the log by mistake. Who may drop triggers still can; `audit verify` tells."""
    log = {"leaf": "seq", "checkpoint": "size"}
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRES_FUNCTION)
        for table in log:
            op.execute(POSTGRES_TRIGGER.format(table=table))
        return
    for table, key in log.items():
        for trigger in SQLITE_TRIGGERS:
            op.execute(trigger.format(table=table, key=key, refusal=REFUSAL))


def tables() -> None:
    op.create_table(
        "checkpoint",
        sa.Column("size", ID, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_checkpoint"),
    )
    op.create_table(
        "leaf",
        sa.Column("seq", ID, autoincrement=False, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_leaf"),
    )
    op.create_index("ix_leaf_kind", "leaf", ["kind"])
    op.create_table(
        "list",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("active_version", sa.Integer(), nullable=True),
        sa.Column("previous_version", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_list"),
    )
    op.create_table(
        "run",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("software", sa.String(32), nullable=False),
        sa.Column("recipes", sa.JSON(), nullable=False),
        sa.Column("list_set", sa.String(64), nullable=True),
        sa.Column("lists", sa.JSON(), nullable=False),
        sa.Column("listed", sa.Integer(), nullable=False),
        sa.Column("skipped_unchanged", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.Column("canary", sa.String(16), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "status in ('running', 'finished', 'stopped', 'failed', 'interrupted')",
            name=op.f("ck_run_status"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
    )
    op.create_table(
        "tree_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tree_head"),
    )
    op.create_table(
        "clip",
        sa.Column("id", ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("modified", TIME, nullable=False),
        sa.Column("platform_id", sa.Text(), nullable=True),
        sa.Column("created", TIME, nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("visibility", sa.String(32), nullable=True),
        sa.Column("views", sa.BigInteger(), nullable=True),
        sa.Column("scanned_etag", sa.Text(), nullable=True),
        sa.Column("scanned_at", TIME, nullable=True),
        sa.Column("scanned_run", sa.String(32), nullable=True),
        sa.Column("list_set", sa.String(64), nullable=True),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("reason", sa.String(32), nullable=True),
        sa.Column("coverage", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["scanned_run"], ["run.id"], name="fk_clip_scanned_run_run"),
        sa.PrimaryKeyConstraint("id", name="pk_clip"),
        sa.UniqueConstraint("key", name="uq_clip_key"),
    )
    op.create_index("ix_clip_retry_at", "clip", ["retry_at"])
    op.create_index("ix_clip_scanned_run", "clip", ["scanned_run"])
    op.create_table(
        "disabled_entry",
        sa.Column("list_name", sa.String(64), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("disabled_at", TIME, nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_name"], ["list.name"], name="fk_disabled_entry_list_name_list"
        ),
        sa.PrimaryKeyConstraint("list_name", "entry_id", name="pk_disabled_entry"),
    )
    op.create_table(
        "list_version",
        sa.Column("id", ID, nullable=False),
        sa.Column("list_name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("imported_at", TIME, nullable=False),
        sa.Column("imported_by", sa.Text(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("hashes", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("algorithms", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_name"], ["list.name"], name="fk_list_version_list_name_list"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_list_version"),
        sa.UniqueConstraint("list_name", "version", name="uq_list_version_list_name_version"),
    )
    op.create_table(
        "case",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("clip_id", ID, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("clip_key", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("detected_at", TIME, nullable=False),
        sa.Column("vault_key", sa.Text(), nullable=False),
        sa.Column("sealed_size", sa.BigInteger(), nullable=True),
        sa.Column("sealed_sha256", sa.String(64), nullable=True),
        sa.Column("verified_at", TIME, nullable=True),
        sa.Column("removed_at", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('detected', 'sealed', 'verified', 'removed', 'lost')",
            name=op.f("ck_case_state"),
        ),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"], name="fk_case_clip_id_clip"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_case_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_case"),
        sa.UniqueConstraint("clip_id", "etag", name="uq_case_clip_id_etag"),
    )
    op.create_index("ix_case_state", "case", ["state"])
    op.create_table(
        "entry",
        sa.Column("id", ID, nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("media", sa.String(8), nullable=False),
        sa.Column("classification", sa.Text(), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(
            ["version_id"], ["list_version.id"], name="fk_entry_version_id_list_version"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_entry"),
        sa.UniqueConstraint("version_id", "entry_id", name="uq_entry_version_id_entry_id"),
    )
    op.create_table(
        "fingerprint",
        sa.Column("id", ID, nullable=False),
        sa.Column("clip_id", ID, nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("sha1", sa.String(40), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("seen", sa.Double(), nullable=False),
        sa.Column("sampling", sa.String(16), nullable=True),
        sa.Column("trouble", sa.String(32), nullable=True),
        sa.Column("recipe", sa.String(64), nullable=False),
        sa.Column("frames", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"], name="fk_fingerprint_clip_id_clip"),
        sa.PrimaryKeyConstraint("id", name="pk_fingerprint"),
        sa.UniqueConstraint("clip_id", "recipe", name="uq_fingerprint_clip_id_recipe"),
    )
    op.create_index("ix_fingerprint_recipe", "fingerprint", ["recipe"])
    op.create_table(
        "match",
        sa.Column("id", ID, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("clip_id", ID, nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("list_name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("classification", sa.Text(), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("algorithm", sa.String(8), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("start", sa.Double(), nullable=False),
        sa.Column("end", sa.Double(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("variant", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"], name="fk_match_clip_id_clip"),
        sa.ForeignKeyConstraint(["list_name"], ["list.name"], name="fk_match_list_name_list"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_match_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_match"),
    )
    op.create_index("ix_match_clip_id", "match", ["clip_id"])
    op.create_index("ix_match_run_id", "match", ["run_id"])
    op.create_table(
        "work",
        sa.Column("id", ID, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("clip_id", ID, nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("worker", sa.String(64), nullable=True),
        sa.Column("leased_at", TIME, nullable=True),
        sa.Column("deaths", sa.SmallInteger(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("reason", sa.String(32), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "(state = 'done') = (outcome is not null)", name=op.f("ck_work_outcome")
        ),
        sa.CheckConstraint("state in ('waiting', 'leased', 'done')", name=op.f("ck_work_state")),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"], name="fk_work_clip_id_clip"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_work_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_work"),
        sa.UniqueConstraint("run_id", "clip_id", name="uq_work_run_id_clip_id"),
    )
    op.create_index("ix_work_run_id_state_shard", "work", ["run_id", "state", "shard"])
    op.create_table(
        "entry_hash",
        sa.Column("id", ID, nullable=False),
        sa.Column("entry", ID, nullable=False),
        sa.Column("algorithm", sa.String(8), nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.Column("timestamp", sa.Double(), nullable=True),
        sa.Column("quality", sa.SmallInteger(), nullable=True),
        sa.ForeignKeyConstraint(["entry"], ["entry.id"], name="fk_entry_hash_entry_entry"),
        sa.PrimaryKeyConstraint("id", name="pk_entry_hash"),
    )
    op.create_index("ix_entry_hash_entry", "entry_hash", ["entry"])
