"""Versions of lists whose entries were removed: the row stays, so that its number never comes back.

Revision: 0009. There is no way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("list_version", sa.Column("removed_at", sa.DateTime(timezone=True)))
