"""`hashmatch review`: clips that a person has to decide about, and what is decided of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import (
    App,
    as_document,
    cells,
    emit_result,
    json_option,
    pass_app,
    say,
    show_details,
    table,
    tell,
)
from hashmatch.cli.entries import entries_command, export_command, trust_command
from hashmatch.cli.groups import Sections
from hashmatch.counting import counted

if TYPE_CHECKING:
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
    from hashmatch.reviews.review_record import State
    from hashmatch.services import reviews

    found = reviews.overviews(app.ctx, state=State(state), list_name=name)
    if as_json:
        emit_result(found)
        return
    columns = ["review", "state", "opened_at", "waited", "lists", "categories", "matches"]
    columns += ["clip_key", "why"]
    table(columns, cells(found, columns), none=f"There is no review that is {state}.")


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
    from hashmatch.services import reviews

    shown = reviews.show(app.ctx, review)
    if as_json:
        emit_result(shown)
        return
    columns = ["decision", "list", "version", "entry", "category", "kind", "start", "end"]
    columns += ["frames", "standing"]
    show_details(as_document(shown), columns)


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
    from hashmatch.services import reviews as service

    if bool(reviews) == bool(entries):
        raise click.UsageError("name the reviews, or an entry with --entry")
    if entries:
        found = service.by_entry(app.ctx, entries)
        reviews = found.alone
        for review in found.mixed:
            tell(f"{review} stays open: it has matches on other entries too.")

    def confirm(given: str) -> None:
        done = service.confirm(app.ctx, given, reason=reason)
        say(f"{done.review} is confirmed: {done.case}")

    _each(reviews, confirm)
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
    from hashmatch.services import reviews as service

    ended: set[str] = set()
    if not reviews:
        if not entries:
            raise click.UsageError("name the reviews, or an entry with --entry")
        found = service.by_entry(app.ctx, entries)
        reviews = (*found.alone, *found.mixed)

    def reject(given: str) -> None:
        review = app.review(given)
        if review in ended:
            return  # an earlier one had the same bytes
        done = service.reject(app.ctx, review, entries, reason=reason)
        ended.update(done.others)
        if done.left:
            left = counted(done.left, "match is", "matches are")
            say(f"{done.review} stays open: {left} to be decided.")
            return
        outcome = f"the clip is {done.outcome}"
        now = outcome if done.outcome else "the next scan looks at the clip again"
        say(f"{done.review} is rejected: {now}.")
        for other in done.others:
            say(f"{other} is rejected with it: its clip has the same bytes.")

    _each(reviews, reject)


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


for each in (entries_command, trust_command, export_command):
    review_command.add_command(each)
