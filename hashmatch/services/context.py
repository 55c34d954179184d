"""What an operation works with: settings, database, keyed names, a clock, and who asks for it.

    ctx = Context(settings, access.account())
    services.lists.activate(ctx, "c3p", 2)
    ctx.close()

A service checks the actor's role, opens the transactions, writes the leaves, and returns a frozen
dataclass. Whoever calls it has one context for each request or command.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property

from hashmatch import access
from hashmatch.access import Role
from hashmatch.audit.keys import load_id_key
from hashmatch.audit.names import KeyedNames
from hashmatch.config import Settings
from hashmatch.db.session import Database


def _now() -> datetime:
    return datetime.now(UTC)


class Context:
    """actor: the account that asks, as the operating system or whoever signed it in vouches for it.

    clock: gives aware times. Database and keys are opened at first use, after the role was checked.
    """

    def __init__(
        self, settings: Settings, actor: str, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self.settings = settings
        self.actor = actor
        self.now = clock

    @cached_property
    def db(self) -> Database:
        """The database, reached and of this code's revision. Raises DatabaseError."""
        db = Database.connect(self.settings.database.url, self.settings.home)
        db.check_revision()
        return db

    @cached_property
    def names(self) -> KeyedNames:
        return KeyedNames(load_id_key(self.settings.path(self.settings.audit.id_key)))

    def permitted(self, *roles: Role, named: bool = False) -> str:
        """The actor, who has one of these roles. Raises RoleMissing, NobodyNamed.

        named: [people] must name somebody for it.
        """
        return access.permitted(self.settings.people, self.actor, *roles, named=named)

    def close(self) -> None:
        """Let go of the database, if it was reached."""
        if "db" in vars(self):
            self.db.close()
