"""What speaks for a match on a listed video: how much of it was found, how near, what moves.

Revision: 0006. Matches from before have none of it. There is no way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

COUNTS = ("listed", "found", "shows", "pictures", "typical")


def upgrade() -> None:
    for name in COUNTS:
        op.add_column("match", sa.Column(name, sa.Integer()))
    for name in ("covered", "copy"):
        op.add_column("match", sa.Column(name, sa.Double()))
    op.add_column("match", sa.Column("stretches", sa.JSON()))
