"""Ids that people give by their beginning: `case-7hq2` is the only case whose id begins so."""

from __future__ import annotations

from sqlalchemy.orm import InstrumentedAttribute

from hashmatch.access import Role
from hashmatch.db.queries import ids_that_begin
from hashmatch.db.schema import CaseRow, ReviewRow, RunRow
from hashmatch.errors import HashmatchError
from hashmatch.services.context import Context

# Of the ids that begin as one that was given.
_MOST_SHOWN = 5


class IdAmbiguous(HashmatchError):
    message = "{given} begins more than one id, give more of it: {some}"
    exit_code = 2


def case(ctx: Context, given: str) -> str:
    """The id of the case that is meant: the only one that begins so, or what was given.

    Raises RoleMissing, IdAmbiguous.
    """
    ctx.permitted(*Role)
    return _meant(ctx, CaseRow.id, given)


def review(ctx: Context, given: str) -> str:
    """As `case`, of a review."""
    ctx.permitted(*Role)
    return _meant(ctx, ReviewRow.id, given)


def run(ctx: Context, given: str) -> str:
    """As `case`, of a run, which everybody may look at."""
    return _meant(ctx, RunRow.id, given)


def _meant(ctx: Context, column: InstrumentedAttribute[str], given: str) -> str:
    with ctx.db.read() as session:
        found = ids_that_begin(session, column, given, _MOST_SHOWN + 1)
    if len(found) > 1:
        more = ", …" if len(found) > _MOST_SHOWN else ""
        raise IdAmbiguous(given=given, some=", ".join(found[:_MOST_SHOWN]) + more)
    return found[0] if found else given
