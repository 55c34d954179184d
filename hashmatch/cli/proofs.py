"""`hashmatch audit prove` and `export`: bundles that somebody else can check on another machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, say, tell
from hashmatch.counting import counted

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hashmatch.audit.claims import Claim
    from hashmatch.model import Json

out_option = click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The new file. Default: a name of its own in this folder.",
)


class _Day(click.ParamType[date]):
    name = "date"

    def convert(
        self, value: str | date, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            return self.fail(f"{value} is not a day like 2026-11-22", param, ctx)


@click.command("prove")
@click.argument("case", required=False)
@click.option(
    "--coverage",
    metavar="CLIP DATE",
    type=(str, _Day()),
    help="Prove instead that a clip was looked at on a day (UTC), by its key in clip storage.",
)
@out_option
@json_option
@pass_app
def prove_command(
    app: App,
    case: str | None,
    coverage: tuple[str, date] | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Prove that all leaves about a case are in the log, or that a clip was scanned on a day.

    Writes a bundle that scripts/verify_bundle.py checks on any machine: the leaves, their proofs, and
    the newest checkpoint. With --coverage also which lists the clip was compared with, its outcome,
    and what shows that it is this clip and, unless it matched, this version; of other clips nothing.

    \b
    Examples:
      hashmatch audit prove case-7hq2k6w4v3mzdpbe --out proof.zip
      hashmatch audit prove --coverage 2026/11/clip.mp4 2026-11-22
    """
    from hashmatch.audit import claims

    if (case is None) == (coverage is None):
        raise click.UsageError("name one CASE, or --coverage CLIP DATE")
    if coverage is not None:
        key, day = coverage
        _export(
            app,
            lambda session: claims.of_coverage(session, key, day),
            out or Path(f"coverage-{day}.zip"),
            {"what": "coverage", "day": day.isoformat()},
            as_json=as_json,
        )
    elif case is not None:
        proved = _checked_case(app, case)
        _export(
            app,
            lambda session: claims.of_case(session, proved, openings=False),
            out or Path(f"{proved}-proof.zip"),
            {"what": "proof"},
            as_json=as_json,
        )


@click.command("export")
@click.option(
    "--case", metavar="CASE", help="All about one case, with what its commitments open to."
)
@click.option("--from", "begin", type=_Day(), help="All leaves from this day (UTC) on.")
@click.option("--to", "end", type=_Day(), help="The last day, which is included.")
@out_option
@json_option
@pass_app
def export_command(
    app: App,
    case: str | None,
    begin: date | None,
    end: date | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Write a bundle of one case, or of all that happened in a period, for somebody outside.

    It has the leaves, their proofs, the checkpoints of that time with proofs that each continues the
    one before, time-stamps of them, and the public key. Of a case it also tells the people, reasons
    and clip that its leaves name by commitments only; of a period it tells none.

    \b
    Examples:
      hashmatch audit export --case case-7hq2k6w4v3mzdpbe --out case.zip
      hashmatch audit export --from 2026-11-01 --to 2026-11-30
    """
    from hashmatch.audit import claims

    if case is not None and begin is None and end is None:
        exported = _checked_case(app, case)
        _export(
            app,
            lambda session: claims.of_case(session, exported, openings=True),
            out or Path(f"{exported}.zip"),
            {"what": "case"},
            as_json=as_json,
        )
        return
    if case is not None or begin is None or end is None:
        raise click.UsageError("name one --case, or a period by --from and --to")
    if end < begin:
        raise click.UsageError(f"the period ends on {end}, before it begins on {begin}")
    _export(
        app,
        lambda session: claims.of_period(session, begin, end),
        out or Path(f"audit-{begin}-{end}.zip"),
        {"what": "period", "from": begin.isoformat(), "to": end.isoformat()},
        as_json=as_json,
    )


@click.command("verify-bundle")
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--key", metavar="KEY", help="The log's public key, or a file with it; not the bundle's."
)
def verify_bundle_command(bundle: str, key: str | None) -> None:
    """Check a bundle on any machine that has hashmatch; needs no settings, no database, no network.

    It is scripts/verify_bundle.py, which somebody without hashmatch runs by itself, with the same
    words and the same exit codes: 0 all holds under the key you named, 1 it does not hold, 3 it is no
    bundle or damaged, 4 all holds under a key that you did not name, 5 it is of another log.

    \b
    Example:
      hashmatch audit verify-bundle --key audit.pub case.zip
    """
    from hashmatch.audit.standalone import verifier

    words = ["--", bundle] if key is None else ["--key", key, "--", bundle]
    code: int = verifier().main(words)
    if code:
        raise click.exceptions.Exit(code)


def _checked_case(app: App, given: str) -> str:
    """The id of the case that is meant. Raises NoSuchCase."""
    from hashmatch.custody import case_record

    _person(app)
    case = app.case(given)
    with app.db.read() as session:
        case_record.load(session, case)
    return case


def _person(app: App) -> str:
    from hashmatch.access import Role

    return app.person(Role.AUDITOR, Role.CUSTODIAN)


def _export(
    app: App,
    select_claim: Callable[[Session], Claim],
    out: Path,
    about: dict[str, Json],
    *,
    as_json: bool,
) -> None:
    from hashmatch.audit.bundle import export
    from hashmatch.audit.keys import load_verifier

    by = _person(app)
    key = load_verifier(app.settings.path(app.settings.audit.key))
    done = export(app.db, key, select_claim, out, about, by=by, at=datetime.now(UTC))
    claim = done.claim
    if claim.newer:
        newer = counted(len(claim.newer), "leaf", "leaves")
        tell(
            f"Left out: {newer} from leaf {claim.newer[0]} on, which no checkpoint "
            "covers yet. The next run's does; then prove again."
        )
    if as_json:
        emit_json(
            {
                "file": str(out),
                "sha256": done.sha256,
                "leaves": len(claim.leaves),
                "left_out": len(claim.newer),
                "checkpoints": len(claim.checkpoints),
                "size": claim.size,
                "root": done.root.hex(),
            }
        )
        return
    say(
        f"{out}: {counted(len(claim.leaves), 'leaf', 'leaves')}, proved in the tree of {claim.size}, root "
        f"{done.root.hex()[:16]}…"
    )
    tell(f"To check it elsewhere: hashmatch audit verify-bundle --key KEY {out.name}")
    tell("or, without hashmatch: python3 verify_bundle.py --key KEY " + out.name)
    tell("KEY is what `hashmatch audit key` prints; give it to others by another way.")
