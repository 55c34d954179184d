"""What speaks for a match on a listed video: how much of it was found, how near, what moves.

Revision: 0006. Matches from before have none of it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0001"

COUNTS = ("listed", "near", "found", "pictures")


def upgrade() -> None:
    with op.batch_alter_table("match") as table:
        for name in COUNTS:
            table.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("typical", sa.Integer()))
        table.add_column(sa.Column("copy", sa.Float()))
        table.add_column(sa.Column("stretches", sa.JSON(), nullable=False, server_default="[]"))
