"""What a look has to say beside outcome and reason: why a clip is for review, what storage answered.

Revision: 0008. There is no way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("work", sa.Column("notes", sa.JSON(), nullable=True))
