"""`hashmatch audit`: what happened, and the proof that nobody changed it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, document, emit_json, json_option, pass_app, say, table, tell
from hashmatch.cli.groups import Sections
from hashmatch.cli.proofs import export_command, prove_command, verify_bundle_command
from hashmatch.counting import counted

if TYPE_CHECKING:
    from hashmatch.audit.verification import Progress


@click.group(
    "audit",
    cls=Sections,
    sections={
        "Read": ("show", "verify"),
        "Prove to others": ("prove", "export", "verify-bundle", "checkpoint", "key"),
    },
)
def audit_command() -> None:
    """Show, verify and prove the audit log."""


audit_command.add_command(prove_command)
audit_command.add_command(export_command)
audit_command.add_command(verify_bundle_command)


@audit_command.command("show")
@click.option(
    "--last",
    "count",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many leaves, the newest ones.",
)
@click.option("--kind", metavar="KIND", help="Only leaves of this kind.")
@json_option
@pass_app
def show_command(app: App, count: int, kind: str | None, as_json: bool) -> None:
    """The last leaves, oldest first. Clips and cases have names that say nothing.

    Commitments to people, reasons and the like are shown with what they stand for, as long as that
    is kept.

    \b
    Example:
      hashmatch audit show --last 50 --kind case-opened
    """
    from hashmatch.access import Role
    from hashmatch.audit.commitments import openings
    from hashmatch.audit.log import last_leaves

    app.person(Role.AUDITOR, Role.OPERATOR)
    with app.db.read() as session:
        leaves = [json.loads(row.body) for row in last_leaves(session, count, kind)]
        known = openings(session, leaves)
    if as_json:
        emit_json([{**leaf, "opened": _opened(leaf["body"], known)} for leaf in leaves])
        return
    rows = [[str(leaf["seq"]), leaf["at"], leaf["kind"], _what(leaf, known)] for leaf in leaves]
    table(["leaf", "at", "kind", "what"], rows, none="There is no such leaf.")


def _opened(body: object, known: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in known.items() if name in json.dumps(body)}


def _what(leaf: dict[str, Any], known: Mapping[str, str]) -> str:
    """A leaf's body in words, with the values of its commitments in their places."""
    return ", ".join(f"{name} {value}" for name, value in _flat(leaf["body"], known))


def _flat(body: Any, known: Mapping[str, str], name: str = "") -> Iterator[tuple[str, str]]:
    """What a body says, each thing by the names that lead to it."""
    parts: list[tuple[str, Any]] = []
    if isinstance(body, dict):
        parts = list(body.items())
    elif isinstance(body, list) and not all(isinstance(one, str) for one in body):
        parts = [(str(number), one) for number, one in enumerate(body, 1)]
    if parts:
        for key, value in parts:
            yield from _flat(value, known, f"{name}.{key}" if name else key)
    elif isinstance(body, str):
        yield name, _word(body, known)
    elif isinstance(body, list) and body:
        yield name, " ".join(_word(one, known) for one in body)
    elif isinstance(body, bool):
        yield name, "yes" if body else "no"
    else:
        yield name, str(body) if isinstance(body, int | float) else "none"


def _word(value: str, known: Mapping[str, str]) -> str:
    """Text, in quotes where it would run into the next word."""
    value = known.get(value, value)
    return (
        value
        if value and " " not in value and "," not in value
        else json.dumps(value, ensure_ascii=False)
    )


@audit_command.command("checkpoint")
@pass_app
def checkpoint_command(app: App) -> None:
    """The newest checkpoint, to be kept elsewhere: who changes the log cannot change that copy.

    \b
    Example:
      hashmatch audit checkpoint > /mnt/other-host/hashmatch-2026-11-22.checkpoint
    """
    from hashmatch.access import Role
    from hashmatch.audit.log import last_checkpoint

    app.person(Role.AUDITOR, Role.OPERATOR)
    with app.db.read() as session:
        note = last_checkpoint(session)
    if note is None:
        raise click.UsageError("there is no checkpoint yet; every `hashmatch scan` makes one")
    document(note)


@audit_command.command("key")
@pass_app
def key_command(app: App) -> None:
    """The log's public key, as scripts/verify_bundle.py and transparency-log tools take it.

    Auditors and whoever gets a bundle need it, from you and by another way than the bundle. On a
    machine that only verifies and proves, audit.key names a file with it.

    \b
    Example:
      hashmatch audit key > audit.pub
    """
    from hashmatch.access import Role
    from hashmatch.audit.checkpoint import verifier_key
    from hashmatch.audit.keys import load_verifier

    app.person(Role.AUDITOR, Role.OPERATOR)
    key = load_verifier(app.settings.path(app.settings.audit.key))
    say(verifier_key(app.settings.audit.origin, key))


@audit_command.command("verify")
@click.option(
    "--against",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint that was kept elsewhere; may be given more than once.",
)
@json_option
@pass_app
def verify_command(app: App, files: tuple[Path, ...], as_json: bool) -> None:
    """Read the whole log and check every leaf, every checkpoint and the database against them.

    What is at hand is compared, too, and named: on the host that signs what it signed last, and the
    newest checkpoint in [anchors] folder. Only what is kept outside the database shows that the
    database was put back to an earlier state.

    Exit code 20 if anything is not what was written; the message names the first bad leaf, or what
    in the database is not as its leaves say.

    \b
    Example:
      hashmatch audit verify \\
          --against /mnt/other-host/hashmatch-2026-11-22.checkpoint
    """
    from hashmatch.access import Role
    from hashmatch.audit.anchors import kept_in_folder
    from hashmatch.audit.keys import load_verifier
    from hashmatch.audit.signing import memory_of, refusal
    from hashmatch.audit.verification import verify
    from hashmatch.reconcile.database import Reconciliation

    app.person(Role.AUDITOR, Role.OPERATOR)
    key = load_verifier(app.settings.path(app.settings.audit.key))
    kept = [(file, file.read_text("utf-8", "replace")) for file in files]
    # Before the database is looked at: a run may go on meanwhile.
    anchored = kept_in_folder(app.settings, app.settings.audit.origin)
    if anchored is not None:
        kept.append(anchored)
    memory = memory_of(app.settings)
    remembered = memory.exists()
    with app.db.read() as session, _progress() as progress:
        refused = refusal(session, app.settings.audit.origin, memory) if remembered else None
        books = Reconciliation(session)
        # First, as it names the leaf that is wrong.
        verified = verify(session, key, progress, [note for _, note in kept], books.take)
        books.close(session)
    if refused is not None:
        raise refused
    against = [*([str(memory)] if remembered else []), *(str(file) for file, _ in kept)]
    if as_json:
        emit_json(
            {
                "leaves": verified.size,
                "root": verified.root.hex(),
                "checkpoints": verified.checkpoints,
                "against": against,
            }
        )
        return
    say(
        f"The log is what was written: {counted(verified.size, 'leaf', 'leaves')}, root "
        f"{verified.root.hex()[:16]}…, {counted(verified.checkpoints, 'checkpoint')}. "
        "The database says what it says."
    )
    if against:
        say(f"It continues what is kept in {', '.join(against)}.")
    else:
        tell(
            "Nothing that is kept outside the database was at hand: a database that was put back to "
            "an earlier state looks the same. Give --against FILE."
        )


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("leaves", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
