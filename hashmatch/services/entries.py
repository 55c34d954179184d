"""Entries of lists that people keep finding wrong: which they are, trusting one again, telling the partner.

for one in overviews(ctx):
    one.list, one.entry, one.standing
trust(ctx, "c3p", "img-1", reason="the partner corrected it in version 12")
export(ctx, "c3p", Form.CSV, Path("c3p-feedback.csv")).entries
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from hashmatch.access import Role
from hashmatch.audit import log
from hashmatch.audit.commitments import commit_person
from hashmatch.freetext import problem_with, said_back
from hashmatch.lists.activation import try_again
from hashmatch.lists.catalog import get_list
from hashmatch.lists.trust import TrialResult
from hashmatch.model import Json
from hashmatch.newfile import new_file
from hashmatch.reviews import entry_standing
from hashmatch.reviews import export as partner_export
from hashmatch.reviews.entry_standing import Level, held
from hashmatch.reviews.review_record import ReviewError
from hashmatch.runs.trial import trial
from hashmatch.services.context import Context


class TrustReasonRefused(ReviewError):
    message = "{list}/{entry}: the reason cannot be recorded: {problem}."
    remedy = "It is kept on record. Say in a few words why the entry is right again."


class Form(StrEnum):
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class EntryOverview:
    """An entry that is flagged or demoted, since when, and how often its matches were decided.

    active: its list acts, and it is not disabled.
    """

    list: str
    entry: str
    standing: Level
    rejected: int
    confirmed: int
    since: datetime
    active: bool


@dataclass(frozen=True, slots=True)
class Trusted:
    """was: the standing that was lifted; trial: None where no version of the list is active."""

    list: str
    entry: str
    was: Level
    trial: TrialResult | None


@dataclass(frozen=True, slots=True)
class Exported:
    """entries: how many the partner is told of."""

    file: str
    entries: int


def overviews(ctx: Context) -> tuple[EntryOverview, ...]:
    """The entries that do not act by themselves, or may soon not. Raises RoleMissing."""
    ctx.permitted(*Role)
    with ctx.db.read() as session:
        return tuple(
            EntryOverview(
                list=one.name.list,
                entry=one.name.entry,
                standing=one.level,
                rejected=one.tally.rejected,
                confirmed=one.tally.confirmed,
                since=one.since,
                active=one.active,
            )
            for one in held(session)
        )


def trust(
    ctx: Context, name: str, entry: str, *, reason: str, accept_trial: bool = False
) -> Trusted:
    """Let an entry act by itself again, after a trial; its decisions are counted anew.

    Raises RoleMissing, TrustReasonRefused, NothingToLift, TrialTooWide.
    """
    by = ctx.permitted(Role.OPERATOR)
    problem = problem_with(reason)
    if problem is not None:
        raise TrustReasonRefused(list=said_back(name), entry=said_back(entry), problem=problem)
    result = try_again(
        ctx.db,
        name,
        trial=trial(ctx.db, ctx.settings),
        max_trial=ctx.settings.match.breaker_share,
        accept_trial=accept_trial,
    )
    with ctx.db.write() as session:
        was = entry_standing.trust(session, name, entry, by=by, reason=reason.strip(), at=ctx.now())
    return Trusted(name, entry, was, result)


def export(ctx: Context, name: str | None, form: Form, out: Path) -> Exported:
    """Write what a partner is told of its entries, or of all lists' where no name is given.

    out: a new file. Only what is on record is written: it goes on the audit log first.
    Raises RoleMissing, ListUnknown, OutputRefused.
    """
    by = ctx.permitted(Role.OPERATOR, Role.REVIEWER, Role.CUSTODIAN)
    with new_file(out) as file:
        with ctx.db.write() as session:
            if name is not None:
                get_list(session, name)
            rows = partner_export.feedback(session, name)
            person = commit_person(session, by)
            body: dict[str, Json] = {"list": name, "entries": len(rows), "by": person}
            log.append(session, "review-exported", body, ctx.now())
        written = partner_export.as_json if form is Form.JSON else partner_export.as_csv
        file.write(written(rows).encode())
    return Exported(str(out), len(rows))
