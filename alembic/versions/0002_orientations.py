"""A list says in which orientations clips are compared with it.

Revision: 0002. There is no way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "list",
        sa.Column("orientations", sa.String(16), nullable=False, server_default="mirrored"),
    )
