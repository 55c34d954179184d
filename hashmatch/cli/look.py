"""`hashmatch check` and `hashmatch hash`: a look at files of one's own; nothing is recorded."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, say, table

if TYPE_CHECKING:
    from hashmatch.config import Settings
    from hashmatch.model import Fingerprint, Match, Verdict

file_type = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command("check")
@click.argument("files", nargs=-1, required=True, type=file_type, metavar="FILE...")
@click.option(
    "--list",
    "lists",
    multiple=True,
    type=file_type,
    metavar="FILE",
    help="Compare with this list instead of the active ones, as a partner delivers it.",
)
@json_option
@pass_app
def check_command(
    app: App, files: tuple[Path, ...], lists: tuple[Path, ...], as_json: bool
) -> None:
    """Look at files once and compare them with the active lists.

    Nothing is recorded, moved or sealed. With --list it needs no installation: outside one the
    settings are the defaults. Exit code 10 if a file could not be seen in full.

    \b
    Example:
      hashmatch check clip.mp4 --json
      hashmatch check clip.mp4 --list ours.csv
    """
    from hashmatch.errors import RunIncomplete
    from hashmatch.model import Outcome
    from hashmatch.services.files import check, check_with

    with check_with(_settings(app), lists) if lists else check(app.settings, app.db) as looks:
        found = [(path, looks.verdict(path)) for path in files]
        versions = looks.versions
    if as_json:
        emit_json([_as_json(path, verdict, versions) for path, verdict in found])
    else:
        table(
            ["outcome", "file", "what"],
            [[verdict.outcome, str(path), _what(verdict)] for path, verdict in found],
        )
    if any(v.outcome in (Outcome.UNSCANNABLE, Outcome.PARTIAL) for _, v in found):
        raise click.exceptions.Exit(RunIncomplete.exit_code)


@click.command("hash")
@click.argument("file", type=file_type)
@click.option("--every", is_flag=True, help="Hash every frame, not only the sampled ones.")
@json_option
@pass_app
def hash_command(app: App, file: Path, every: bool, as_json: bool) -> None:
    """Digests and frame hashes of a file of your own, to make a list or to compare tools.

    Prints hashes, so use it on your own media only; no list is looked at. Needs no installation:
    outside one the settings are the defaults.

    \b
    Example:
      hashmatch hash --every --json clip.mp4
    """
    from hashmatch.errors import MediaError
    from hashmatch.services.files import fingerprint_of

    fingerprint = fingerprint_of(_settings(app), file, every=every)
    if not fingerprint.frames and fingerprint.trouble is not None:
        raise MediaError(path=file, problem=fingerprint.trouble.text)
    shown = _hashes(file, fingerprint)
    if as_json:
        emit_json(shown)
        return
    for name in ("md5", "sha1", "sha256", "recipe", "duration"):
        say(f"{name:9} {shown[name]}")
    for frame in shown["frames"]:
        say(f"{frame['t']:9.3f} {frame['quality']:3} {frame['pdq']}")


def _settings(app: App) -> Settings:
    """Of this installation; the defaults where there is none and none was named."""
    from hashmatch.config import Settings
    from hashmatch.config.settings import SettingsMissing

    try:
        return app.settings
    except SettingsMissing:
        if app.config is not None:
            raise
        return Settings()


def _as_json(path: Path, verdict: Verdict, versions: dict[str, int]) -> dict[str, Any]:
    return {
        "path": str(path),
        "outcome": verdict.outcome.value,
        "reason": verdict.reason.value if verdict.reason else None,
        "coverage": round(verdict.coverage, 4),
        "lists": versions,
        "matches": [_match(match) for match in verdict.matches],
    }


def _match(match: Match) -> dict[str, Any]:
    return {
        "list": match.list,
        "entry": match.entry,
        "kind": match.kind.value,
        "distance": match.distance,
        "start": round(match.start, 3),
        "end": round(match.end, 3),
        "frames": match.frames,
        "variant": match.variant.value,
    }


def _what(verdict: Verdict) -> str:
    if not verdict.matches:
        return verdict.reason.text if verdict.reason else ""
    return "; ".join(
        f"{match.list}/{match.entry}"
        + (" (whole file)" if match.kind == "file" else f" at {match.start:.1f}-{match.end:.1f} s")
        for match in verdict.matches
    )


def _hashes(path: Path, fingerprint: Fingerprint) -> dict[str, Any]:
    digests = fingerprint.digests
    assert digests is not None, "a local file is read whole"
    hashes = next(iter(fingerprint.frames), None)
    frames = [] if hashes is None else zip(hashes.t, hashes.quality, hashes.bits, strict=True)
    return {
        "path": str(path),
        **asdict(digests),
        "recipe": hashes.recipe if hashes else None,
        "duration": fingerprint.duration,
        "frames": [
            {"t": round(float(t), 6), "quality": int(quality), "pdq": bits[0].tobytes().hex()}
            for t, quality, bits in frames
        ],
    }
