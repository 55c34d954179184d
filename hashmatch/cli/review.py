"""`hashmatch review`: clips that a person has to decide about, and what is decided of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import (
    App,
    cell,
    emit_json,
    json_option,
    pass_app,
    say,
    show_details,
    shown_time,
    table,
    tell,
)
from hashmatch.cli.entries import entries_command, export_command, trust_command
from hashmatch.cli.groups import Sections
from hashmatch.counting import counted

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hashmatch.db.schema import MatchRow, ReviewRow
    from hashmatch.reviews.entry_standing import EntryName

STATES = ("open", "confirmed", "rejected", "gone")


@click.group(
    "review",
    cls=Sections,
    sections={
        "Look": ("list", "show"),
        "Decide": ("confirm", "reject"),
        "Entries that are often wrong": ("entries", "trust", "export"),
    },
)
def review_command() -> None:
    """Decide near matches and single frames.

    \b
    hashmatch review list
    hashmatch review show review-7hq2k6w4v3mzdpbe
    hashmatch review reject review-7hq2k6w4v3mzdpbe --reason "our own logo"
    """


@review_command.command("list")
@click.option("--list", "name", metavar="NAME", help="Only with a match on this list.")
@click.option(
    "--state", type=click.Choice(STATES), default="open", show_default=True, help="In this state."
)
@json_option
@pass_app
def list_command(app: App, name: str | None, state: str, as_json: bool) -> None:
    """List reviews, the oldest first.

    \b
    open       waits for a person
    confirmed  a person said that it matches; see hashmatch quarantine list
    rejected   a person said that none of its matches is right
    gone       the clip was taken, changed or vanished before anybody decided

    \b
    Example:
      hashmatch review list --list c3p
    """
    from sqlalchemy import select

    from hashmatch.access import Role
    from hashmatch.db.schema import ReviewRow

    app.person(*Role)
    query = select(ReviewRow).where(ReviewRow.state == state)
    with app.db.read() as session:
        found = session.scalars(query.order_by(ReviewRow.opened_at, ReviewRow.id)).all()
        reviews = [_overview(session, row) for row in found]
    if name is not None:
        reviews = [review for review in reviews if name in review["lists"]]
    if as_json:
        emit_json(reviews)
        return
    columns = ["review", "state", "opened_at", "waited", "lists", "categories", "matches"]
    columns += ["clip_key", "why"]
    rows = [[cell(review[column]) for column in columns] for review in reviews]
    table(columns, rows, none=f"There is no review that is {state}.")


@review_command.command("show")
@click.argument("review")
@json_option
@pass_app
def show_command(app: App, review: str, as_json: bool) -> None:
    """Show one review: which clip, what it matched, when in the clip and how strongly.

    Shows no picture and no hash. That it was shown goes on the audit log.

    \b
    Example:
      hashmatch review show review-7hq2k6w4v3mzdpbe
    """
    from hashmatch.access import Role
    from hashmatch.audit import log
    from hashmatch.reviews import review_record

    person = app.person(Role.REVIEWER, Role.CUSTODIAN)
    review = app.review(review)
    with app.db.write() as session:
        log.tree_head(session, lock=True)
        row = review_record.load(session, review)
        shown = _details(session, row)
        review_record.shown(session, row, person, datetime.now(UTC))
    if as_json:
        emit_json(shown)
        return
    columns = ["decision", "list", "version", "entry", "category", "kind", "start", "end"]
    columns += ["frames", "standing"]
    show_details(shown, columns)


def _entries(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> Any:
    from hashmatch.reviews.entry_standing import EntryName

    entries = []
    for text in value:
        name, slash, entry = text.partition("/")
        if not (name and slash and entry):
            raise click.BadParameter("an entry is written LIST/ENTRY, as `review show` has it")
        entries.append(EntryName(name, entry))
    return entries


@review_command.command("confirm")
@click.argument("reviews", metavar="[REVIEW]...", nargs=-1)
@click.option(
    "--entry",
    "entries",
    metavar="LIST/ENTRY",
    multiple=True,
    callback=_entries,
    help="All open reviews in which nothing but this entry is left. May be repeated.",
)
@click.option("--reason", default="", help="Why, if there is something to say. Kept on record.")
@pass_app
def confirm_command(
    app: App, reviews: tuple[str, ...], entries: list[EntryName], reason: str
) -> None:
    """The matches that are left are right: the clip is taken into custody, like any match.

    If the clip changed or vanished since it was looked at, nothing is decided. Each review is decided
    for itself, with its own entry in the audit log; what cannot be decided is said, and the others
    are (exit code 26).

    \b
    Examples:
      hashmatch review confirm review-7hq2k6w4v3mzdpbe
      hashmatch review confirm --entry c3p/img-1
    """
    from hashmatch.access import Role
    from hashmatch.services.reviews import Desk

    person = app.person(Role.REVIEWER, Role.CUSTODIAN)
    if bool(reviews) == bool(entries):
        raise click.UsageError("name the reviews, or an entry with --entry")
    desk = Desk(app.settings, app.db)

    def confirm(given: str) -> None:
        review = app.review(given)
        case = desk.confirm(review, app.names, reason=reason, by=person)
        say(f"{review} is confirmed: {case}")

    _each(reviews or _alone(app, entries), confirm)
    tell("The next run takes what was confirmed; `hashmatch quarantine resume` does so now.")


@review_command.command("reject")
@click.argument("reviews", metavar="[REVIEW]...", nargs=-1)
@click.option(
    "--entry",
    "entries",
    metavar="LIST/ENTRY",
    multiple=True,
    callback=_entries,
    help="Only the match on this entry; the rest stays open. May be repeated. Without REVIEW: in all "
    "open reviews that have it.",
)
@click.option("--reason", required=True, help="Why they are wrong. Kept on record.")
@pass_app
def reject_command(
    app: App, reviews: tuple[str, ...], entries: list[EntryName], reason: str
) -> None:
    """The matches are wrong: they never come back for these bytes, wherever they are stored.

    Each review is decided for itself, with its own entry in the audit log; what cannot be decided is
    said, and the others are (exit code 26).

    \b
    Examples:
      hashmatch review reject review-7hq2k6w4v3mzdpbe --reason "our own logo"
      hashmatch review reject review-7hq2k6w4v3mzdpbe \\
          --entry c3p/img-1 --reason "a test card"
      hashmatch review reject --entry c3p/img-1 --reason "a test card"
    """
    from hashmatch.access import Role
    from hashmatch.reviews import review_record
    from hashmatch.services.reviews import Desk

    person = app.person(Role.REVIEWER, Role.CUSTODIAN)
    desk = Desk(app.settings, app.db)
    ended: set[str] = set()
    if not reviews:
        if not entries:
            raise click.UsageError("name the reviews, or an entry with --entry")
        with app.db.read() as session:
            reviews = tuple(review_record.open_with(session, entries))

    def reject(given: str) -> None:
        review = app.review(given)
        if review in ended:
            return  # an earlier one had the same bytes
        done = desk.reject(review, entries, reason=reason, by=person)
        ended.update(done.others)
        if done.left:
            left = counted(done.left, "match is", "matches are")
            say(f"{review} stays open: {left} to be decided.")
            return
        outcome = f"the clip is {done.outcome}"
        now = outcome if done.outcome else "the next scan looks at the clip again"
        say(f"{review} is rejected: {now}.")
        for other in done.others:
            say(f"{other} is rejected with it: its clip has the same bytes.")

    _each(reviews, reject)


def _alone(app: App, entries: list[EntryName]) -> list[str]:
    """The open reviews in which nothing but these entries is left; of the others it is said."""
    from hashmatch.reviews import review_record
    from hashmatch.reviews.findings import Finding, pending

    alone = []
    with app.db.read() as session:
        for review in review_record.open_with(session, entries):
            left = pending(session, review_record.load(session, review))
            if all(Finding.of(match).name in entries for match in left):
                alone.append(review)
            else:
                tell(f"{review} stays open: it has matches on other entries too.")
    return alone


def _each(reviews: Sequence[str], decide: Callable[[str], None]) -> None:
    """Decides one review after the other, each for itself.

    One alone raises what it raises. Of several, those that cannot be decided are named, and
    NotAllDecided follows.
    """
    from hashmatch.reviews.review_record import NotAllDecided, ReviewError

    chosen, refused = list(dict.fromkeys(reviews)), 0
    for review in chosen:
        try:
            decide(review)
        except ReviewError as error:
            if len(chosen) == 1:
                raise
            refused += 1
            tell(error.message)
    if not chosen:
        tell("Nothing was decided.")
    if refused:
        raise NotAllDecided(refused=counted(refused, "review"), count=len(chosen))


def _overview(session: Session, row: ReviewRow) -> dict[str, Any]:
    from hashmatch.db.schema import ClipRow

    matches = _matches(session, row)
    return {
        "review": row.id,
        "state": row.state,
        "opened_at": shown_time(row.opened_at),
        "waited": _waited(row),
        "lists": sorted({match.list_name for match in matches}),
        "categories": sorted({match.classification for match in matches if match.classification}),
        "matches": len(matches),
        "why": _why(session, row, matches),
        "run": row.run_id,
        "clip_key": session.get_one(ClipRow, row.clip_id).key,
    }


def _why(session: Session, row: ReviewRow, matches: Sequence[MatchRow]) -> list[str]:
    """What the run said of why its matches are no more than for review, a sentence a cause."""
    from hashmatch.db.queries import work_of

    looked = work_of(session, matches[0].run_id if matches else row.run_id, row.clip_id)
    return (looked.notes if looked is not None else None) or []


def _details(session: Session, row: ReviewRow) -> dict[str, Any]:
    from hashmatch.db.schema import ClipRow, StandingRow
    from hashmatch.report.evidence import in_words
    from hashmatch.reviews.entry_standing import said_of
    from hashmatch.reviews.findings import Finding, digests_of

    clip = session.get_one(ClipRow, row.clip_id)
    matches_of = _matches(session, row)
    digested = digests_of(session, row.clip_id, row.etag)
    said = said_of(session, row.clip_id, row.etag, digested.sha256 if digested else None)
    matches = []
    for match in matches_of:
        name = Finding.of(match).name
        standing = session.get(StandingRow, tuple(name))
        wrong, right = name in said.rejected, name in said.confirmed
        matches.append(
            {
                "decision": "rejected" if wrong else "confirmed" if right else "open",
                "list": match.list_name,
                "version": match.version,
                "entry": match.entry_id,
                "category": match.classification,
                "kind": match.kind,
                "start": round(match.start, 2),
                "end": round(match.end, 2),
                "frames": match.frames,
                "standing": standing.level if standing is not None else "acts",
                "evidence": in_words(match),
            }
        )
    return {
        "review": row.id,
        "state": row.state,
        "clip_key": clip.key,
        "platform_id": clip.platform_id,
        "channel": clip.channel,
        "opened_at": shown_time(row.opened_at),
        "waited": _waited(row),
        "why": _why(session, row, matches_of),
        "run": row.run_id,
        "renditions": _renditions(session, clip.rendition_of, row.id),
        "decided_at": shown_time(row.decided_at),
        "decided_by": row.decided_by,
        "reason": row.reason,
        "matches": matches,
    }


def _matches(session: Session, row: ReviewRow) -> list[MatchRow]:
    from hashmatch.reviews.findings import found

    return found(session, row.clip_id, row.etag)


def _renditions(session: Session, of: str | None, review: str) -> list[str]:
    """The open reviews of the same clip at other heights."""
    from sqlalchemy import select

    from hashmatch.db.schema import ClipRow, ReviewRow

    if of is None:
        return []
    query = select(ReviewRow.id).join(ClipRow, ClipRow.id == ReviewRow.clip_id)
    others = (ClipRow.rendition_of == of, ReviewRow.id != review, ReviewRow.state == "open")
    return list(session.scalars(query.where(*others).order_by(ReviewRow.id)))


def _waited(row: ReviewRow) -> str:
    """Until now, or until it was decided, in days and hours."""
    seconds = ((row.decided_at or datetime.now(UTC)) - row.opened_at).total_seconds()
    hours = max(0, int(seconds // 3600))
    return f"{hours // 24} d {hours % 24} h"


for each in (entries_command, trust_command, export_command):
    review_command.add_command(each)
