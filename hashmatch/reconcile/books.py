"""Books: what each kind of leaf lets expect of the database, kept while the log is read.

    class HoldBook(Book):
        kinds = ("case-held", "case-hold-lifted")
        def take(self, seq, kind, body): …        # in the log's order
        def close(self, session): …               # compare with the tables

`reconcile.database` reads them all. A field that a leaf of an older version lacks is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from hashmatch.errors import AuditBroken

Body = Mapping[str, Any]


class DatabaseDiffers(AuditBroken):
    message = "The database is not what its audit log says: {problem} (leaf {leaf})."
    remedy = (
        "Keep the database as it is, stop the timer, and compare it with its backups: the log is "
        "signed."
    )


class Book:
    """kinds: of the leaves that it takes; one that ends with a dash stands for all that begin so."""

    kinds: ClassVar[tuple[str, ...]] = ()

    def take(self, seq: int, kind: str, body: Body) -> None:
        raise NotImplementedError

    def close(self, session: Session) -> None:
        """All leaves were taken. Raises DatabaseDiffers."""
        raise NotImplementedError


def compare(what: str, seq: int, body: Body, row: object, fields: Mapping[str, str]) -> None:
    """That a row's columns are what a leaf says. fields: name in the leaf -> column."""
    for name, column in fields.items():
        if name in body and body[name] != getattr(row, column):
            raise DatabaseDiffers(problem=f"the {name} of {what} is another", leaf=seq)


def missing(what: str, seq: int) -> DatabaseDiffers:
    """A leaf tells of what has no row."""
    return DatabaseDiffers(problem=f"{what} is gone from it", leaf=seq)


def unheard_of(what: str, last: int) -> DatabaseDiffers:
    """A row of which no leaf tells. last: the number of the last leaf of its kind."""
    return DatabaseDiffers(problem=f"no leaf up to the last of its kind tells of {what}", leaf=last)
