"""Fingerprints of clips that were not read whole: no digests, and how many bytes were read.

Revision: 0003. There is no way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

DIGESTS = {"md5": 32, "sha1": 40, "sha256": 64}


def upgrade() -> None:
    with op.batch_alter_table("fingerprint") as table:
        for name, length in DIGESTS.items():
            table.alter_column(name, existing_type=sa.String(length), nullable=True)
        table.add_column(sa.Column("bytes_read", sa.BigInteger(), nullable=True))
