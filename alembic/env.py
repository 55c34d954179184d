"""Alembic's entry. `hashmatch.db.migrate` calls it with a connection; see there for the rules.

For developers: with HASHMATCH_DATABASE__URL set to a database that may be thrown away,
`alembic revision --autogenerate --rev-id 0002 -m "what it does"` writes the next script.
"""

from __future__ import annotations

import os
from pathlib import Path

from alembic import context
from sqlalchemy import Connection

from hashmatch.db.schema import Base
from hashmatch.db.session import Database


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        # SQLite cannot alter a table, only rebuild it.
        render_as_batch=connection.dialect.name == "sqlite",
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    database = Database.connect(os.environ["HASHMATCH_DATABASE__URL"], Path.cwd())
    with database.engine.begin() as opened:
        migrate(opened)
