"""`hashmatch init` and `hashmatch doctor`: set up an installation, and see whether it works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, table, tell

if TYPE_CHECKING:
    from hashmatch.config import Settings


@click.command("init")
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--clips", metavar="URL", help="Clip storage: a folder, s3://…, gs://…, az://….")
@click.option("--vault", metavar="URL", help="Where sealed clips go.")
@click.option("--database", metavar="URL", help="sqlite:///FILE or postgresql://….")
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    metavar="AGE1…",
    help="Public key that can open sealed clips; give at least two.",
)
@click.option(
    "--accept-lost-vault",
    "accept_lost",
    is_flag=True,
    help="What is missing in the vault is lost for good: go on without it. It goes on the log.",
)
def init_command(
    folder: Path,
    clips: str | None,
    vault: str | None,
    database: str | None,
    recipients: tuple[str, ...],
    accept_lost: bool,
) -> None:
    """Make hashmatch.toml, keys and database in a folder, and say what to do next.

    What is there already is kept; options that say otherwise than its hashmatch.toml are refused. The
    database is brought up to this version's tables. A folder given with --clips must be there. The
    vault gets a marker, without which nothing is put into it later: an unmounted disk looks empty.

    \b
    Example:
      hashmatch init /srv/hashmatch --clips s3://clips \\
          --recipient age1… --recipient age1…
    """
    from hashmatch.services.installing import Given, install

    given = Given(clips=clips, vault=vault, database=database, recipients=recipients)
    settings, made = install(folder, given)
    for path in made:
        tell(f"made {path}")
    _mark(settings, accept_lost)
    steps = []
    if len(settings.vault.recipients) < 2:
        steps.append(
            "On another machine, which keeps the private keys, run `age-keygen -o custodian.key` and "
            "`age-keygen -o break-glass.key`; put both public keys into [vault] recipients."
        )
    steps += [
        "Look at hashmatch.toml: clips.url is where the clips are.",
        "hashmatch lists import NAME FILE, then hashmatch lists activate NAME 1",
        "hashmatch doctor",
        "hashmatch scan",
    ]
    tell()
    tell("Next:")
    if folder.resolve() != Path.cwd():
        tell(f"cd {folder}")
    for number, step in enumerate(steps, 1):
        tell(f"{number}. {step}")


def _mark(settings: Settings, accept_lost: bool) -> None:
    from hashmatch.access import account
    from hashmatch.custody.vault.marker import MARKER, VaultAway
    from hashmatch.custody.vault.store import VaultFailed
    from hashmatch.services.installing import mark_vault

    try:
        if mark_vault(settings, by=account(), accept_lost=accept_lost):
            tell(f"marked the vault, with {MARKER} in {settings.vault.url}")
    except VaultAway:
        raise
    except VaultFailed as error:
        tell(f"The vault is not marked yet, the first run does it. {error.message}")


@click.command("doctor")
@json_option
@pass_app
def doctor_command(app: App, as_json: bool) -> None:
    """Check settings, keys, database, storage, vault, anchors, lists, decoder, hashing, canary.

    Writes a small object into the vault and the anchors, reads it back and removes it; where a lock
    keeps it, at most one a day. Otherwise nothing is changed. The exit code is that of the first thing
    that is wrong.

    \b
    Example:
      hashmatch doctor --json
    """
    from hashmatch.services.doctor import examine

    findings = list(examine(lambda: app.settings))
    if as_json:
        emit_json([finding.as_json() for finding in findings])
    else:
        rows = [["ok" if f.ok else "WRONG", f.what, f.says] for f in findings]
        table(["", "what", "finding"], rows)
        for finding in findings:
            if finding.remedy:
                tell(f"{finding.what}: {finding.remedy}")
    bad = [finding for finding in findings if not finding.ok]
    if bad:
        raise click.exceptions.Exit(bad[0].exit_code)
