"""Which state of the lists a clip was last compared with, and the shards of stored comparisons.

Revision: 0005. There is no way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "list_set",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_list_set"),
    )
    op.create_table(
        "shard",
        sa.Column("id", ID, nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("first_clip", sa.BigInteger(), nullable=False),
        sa.Column("last_clip", sa.BigInteger(), nullable=False),
        sa.Column("clips", sa.Integer(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("done_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_shard_run_id_run"),
        sa.PrimaryKeyConstraint("id", name="pk_shard"),
        sa.UniqueConstraint("run_id", "number", name="uq_shard_run_id_number"),
    )
