"""`hashmatch quarantine export`: a report draft for a person to finish and send."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashmatch.cli.app import App, pass_app, say, tell
from hashmatch.newfile import OutputRefused, new_file

if TYPE_CHECKING:
    from hashmatch.model import Json


@click.command("export")
@click.argument("case")
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="An existing folder for the draft; best where only custodians can read.",
)
@pass_app
def export_command(app: App, case: str, folder: Path) -> None:
    """Write a draft of a CyberTipline report for a person to finish and send.

    Three files: CASE.json with everything, and CASE.report.xml and CASE.file.xml with NCMEC's
    elements in their order. Nothing is sent. That the file was viewed is only said if the log has a
    `quarantine open` of it. No hash is in a draft. That it was written goes on the audit log.

    \b
    Example:
      hashmatch quarantine export case-7hq2k6w4v3mzdpbe \\
          --out /srv/custodians/drafts
    """
    from hashmatch import __version__
    from hashmatch.access import Role
    from hashmatch.audit import log
    from hashmatch.audit.commitments import commit_person
    from hashmatch.report.casefacts import facts_of
    from hashmatch.report.cybertip import draft_of

    person = app.person(Role.CUSTODIAN)
    case = app.case(case)
    with app.db.write() as session:
        facts = facts_of(session, case, software=f"hashmatch {__version__}")
        paths = [folder / f"{case}.{ending}" for ending in ("json", "report.xml", "file.xml")]
        _check(folder, paths)
        by = commit_person(session, person)
        leaf: dict[str, Json] = {"case": case, "by": by, "viewed": facts.viewed is not None}
        log.append(session, "case-exported", leaf, datetime.now(UTC))
    draft = draft_of(facts)
    text = json.dumps(draft.as_json(), indent=2, ensure_ascii=False) + "\n"
    for path, content in zip(
        paths, (text.encode(), draft.report_xml(), draft.file_xml()), strict=True
    ):
        with new_file(path) as file:
            file.write(content)
        say(path)
    tell("Nothing was sent. To fill in:")
    for blank in draft.to_fill():
        tell(f"  {blank['where']}{' (required)' if blank['required'] else ''}: {blank['what']}")
    tell("To check:")
    for check in draft.to_check:
        tell(f"  {check}")


def _check(folder: Path, paths: list[Path]) -> None:
    if not folder.is_dir():
        raise OutputRefused(file=folder, problem="there is no such folder.")
    for path in paths:
        if path.is_symlink() or path.exists():
            raise OutputRefused(file=path, problem="it exists.")
