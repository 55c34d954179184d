"""A case's whole life, reviews, commitments, anchors: what custody and audit keep beside it.

Revision: 0007. Cases from before have neither a key nor a manifest of their own. There is no way
down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)

STATES = (
    "state in ('detected', 'sealed', 'verified', 'withdrawn', 'removed', 'held',"
    " 'reported', 'released', 'destroyed', 'lost')"
)


def upgrade() -> None:
    op.add_column("clip", sa.Column("salt", sa.LargeBinary()))
    op.add_column("run", sa.Column("host", sa.String(32)))
    op.add_column("work", sa.Column("leaf", sa.BigInteger()))
    with op.batch_alter_table("case") as table:
        table.drop_constraint(op.f("ck_case_state"), type_="check")
        table.create_check_constraint(op.f("ck_case_state"), STATES)
        for name, kind in (
            ("case_key", sa.String(64)),
            ("key_size", sa.BigInteger()),
            ("key_sha256", sa.String(64)),
            ("manifest_size", sa.BigInteger()),
            ("manifest_sha256", sa.String(64)),
            ("withdrawn_at", TIME),
            ("reported_at", TIME),
            ("report_reference", sa.Text()),
            ("released_at", TIME),
            ("destroyed_at", TIME),
        ):
            table.add_column(sa.Column(name, kind))
    op.create_table(
        "case_step",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", sa.String(32), nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("intended_at", TIME, nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("leaf", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("end_leaf", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["case.id"], name="fk_case_step_case_id_case"),
        sa.PrimaryKeyConstraint("id", name="pk_case_step"),
    )
    op.create_index("ix_case_step_case_id_step", "case_step", ["case_id", "step"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("case_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", TIME, nullable=True),
        sa.Column("poll_url", sa.Text(), nullable=True),
        sa.Column("answered_at", TIME, nullable=True),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case.id"], name="fk_outbox_case_id_case"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_case_id_kind", "outbox", ["case_id", "kind"])
    op.create_table(
        "hold",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at", TIME, nullable=False),
        sa.Column("placed_by", sa.Text(), nullable=False),
        sa.Column("lifted_at", TIME, nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lift_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case.id"], name="fk_hold_case_id_case"),
        sa.PrimaryKeyConstraint("id", name="pk_hold"),
    )
    op.create_index("ix_hold_case_id", "hold", ["case_id"])
    op.create_table(
        "request",
        sa.Column("id", ID, nullable=False),
        sa.Column("case_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("end", sa.String(16), nullable=True),
        sa.CheckConstraint(
            "kind in ('release', 'destroy', 'forget')", name=op.f("ck_request_kind")
        ),
        sa.CheckConstraint(
            "confirmed_by is null or confirmed_by <> asked_by", name=op.f("ck_request_two_people")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["case.id"], name="fk_request_case_id_case"),
        sa.PrimaryKeyConstraint("id", name="pk_request"),
    )
    op.create_index("ix_request_case_id", "request", ["case_id"])
    op.create_table(
        "review",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("clip_id", ID, nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('open', 'confirmed', 'rejected', 'gone')", name=op.f("ck_review_state")
        ),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"], name="fk_review_clip_id_clip"),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_review_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_review"),
        sa.UniqueConstraint("clip_id", "etag", name="uq_review_clip_id_etag"),
    )
    op.create_index("ix_review_state_opened_at", "review", ["state", "opened_at"])
    op.create_table(
        "decision",
        sa.Column("id", ID, nullable=False),
        sa.Column("list_name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("classification", sa.Text(), nullable=True),
        sa.Column("clip_id", ID, nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("right", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["clip_id"], ["clip.id"], name="fk_decision_clip_id_clip"),
        sa.ForeignKeyConstraint(["list_name"], ["list.name"], name="fk_decision_list_name_list"),
        sa.PrimaryKeyConstraint("id", name="pk_decision"),
    )
    op.create_index("ix_decision_clip_id", "decision", ["clip_id"])
    op.create_index("ix_decision_list_name_entry_id", "decision", ["list_name", "entry_id"])
    op.create_index("ix_decision_sha256", "decision", ["sha256"])
    op.create_table(
        "standing",
        sa.Column("list_name", sa.String(64), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("counted_from", sa.BigInteger(), nullable=False),
        sa.Column("trusted_at", TIME, nullable=True),
        sa.Column("trusted_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "level in ('acts', 'flagged', 'demoted')", name=op.f("ck_standing_level")
        ),
        sa.ForeignKeyConstraint(["list_name"], ["list.name"], name="fk_standing_list_name_list"),
        sa.PrimaryKeyConstraint("list_name", "entry_id", name="pk_standing"),
    )
    op.create_table(
        "opening",
        sa.Column("commitment", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("commitment", name="pk_opening"),
    )
    op.create_index("ix_opening_subject_kind", "opening", ["subject", "kind"])
    op.create_table(
        "anchor",
        sa.Column("id", ID, nullable=False),
        sa.Column("size", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("tried_at", TIME, nullable=False),
        sa.Column("anchored_at", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("receipt", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["size"], ["checkpoint.size"], name="fk_anchor_size_checkpoint"),
        sa.PrimaryKeyConstraint("id", name="pk_anchor"),
        sa.UniqueConstraint("size", "kind", name="uq_anchor_size_kind"),
    )
    op.create_table(
        "known",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_known"),
    )
