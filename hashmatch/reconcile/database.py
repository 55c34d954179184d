"""Reconciliation: the database says what its log says, of every case, list, run, clip and review.

    with db.read() as session:
        books = Reconciliation(session)
        verify(session, key, each=books.take)
        books.close(session)

Found: a row that was changed, added or removed behind the log's back, where a leaf tells of it. Not
found: a change of what no leaf tells, such as a listed hash that was put in the place of another,
or of a row together with the log (which `verification` finds).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from hashmatch.reconcile.books import Book, DatabaseDiffers
from hashmatch.reconcile.cases import CaseBook, HoldBook, OpeningBook, RequestBook
from hashmatch.reconcile.lists import DisabledBook, ListBook
from hashmatch.reconcile.runs import ClipBook, ReviewBook, RunBook

# What comes of values of other types, which SQLite keeps in any column.
_MALFORMED = (LookupError, TypeError, ValueError, AttributeError)


class Reconciliation:
    """Takes every leaf in order, keeps what is to be expected, and compares at the end."""

    def __init__(self, session: Session) -> None:
        self.books: list[Book] = [
            OpeningBook(),
            ListBook(),
            DisabledBook(),
            RunBook(),
            ClipBook(session),
            CaseBook(),
            HoldBook(),
            RequestBook(),
            ReviewBook(),
        ]
        self._of: dict[str, list[Book]] = {}
        self._problem: DatabaseDiffers | None = None

    def take(self, leaf: dict[str, Any]) -> None:
        """Raises nothing: whether the log itself holds is to be known first."""
        if self._problem is not None:
            return
        kind, seq = leaf["kind"], leaf["seq"]
        books = self._of.get(kind)
        if books is None:
            books = self._of[kind] = [book for book in self.books if _wants(book, kind)]
        try:
            for book in books:
                book.take(seq, kind, leaf["body"])
        except DatabaseDiffers as error:
            self._problem = error
        except _MALFORMED:
            problem = f"nobody can have written what a {kind} leaf or its row says"
            self._problem = DatabaseDiffers(problem=problem, leaf=seq)

    def close(self, session: Session) -> None:
        """Raises DatabaseDiffers."""
        if self._problem is not None:
            raise self._problem
        for book in self.books:
            try:
                book.close(session)
            except _MALFORMED as error:
                problem = "a table has what nobody can have written"
                raise DatabaseDiffers(problem=problem, leaf=0) from error


def _wants(book: Book, kind: str) -> bool:
    return any(
        kind == wanted or (wanted.endswith("-") and kind.startswith(wanted))
        for wanted in book.kinds
    )
