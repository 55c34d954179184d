"""Renditions: which clips are heights of one, by which of them each was seen, and cases that belong together.

Revision: 0004. Columns are added in place: no table is copied, however large it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("clip", sa.Column("rendition_of", sa.Text(), nullable=True))
    op.add_column("clip", sa.Column("height", sa.Integer(), nullable=True))
    op.add_column("clip", sa.Column("listed_run", sa.String(32), nullable=True))
    op.create_index("ix_clip_rendition_of", "clip", ["rendition_of"])
    op.add_column("fingerprint", sa.Column("seen_by", sa.Text(), nullable=True))
    op.add_column("work", sa.Column("seen_by", sa.Text(), nullable=True))
    op.add_column("case", sa.Column("rendition_of", sa.Text(), nullable=True))
