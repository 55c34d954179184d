"""Help: each command is in a section with a whole sentence, and topics say what code and docs say."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import hashmatch
from hashmatch.access import Role
from hashmatch.cli.groups import Sections
from hashmatch.cli.main import COMMANDS, cli
from hashmatch.cli.topics import EXIT_CODES, OUTCOMES, ROLES, TOPICS
from hashmatch.errors import HashmatchError
from hashmatch.model import Outcome, Reason

DOCS = Path(__file__).parents[2] / "docs"


def said(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, words, prog_name="hashmatch")
    assert result.exit_code == code, result.output
    return result.output


def groups() -> Iterator[tuple[str, ...]]:
    yield ()
    for name in COMMANDS:
        if isinstance(cli.get_command(click.Context(cli), name), click.Group):
            yield (name,)


@pytest.mark.parametrize("words", list(groups()), ids=lambda words: " ".join(words) or "hashmatch")
def test_every_command_is_in_one_section_with_a_whole_sentence(words):
    ctx = click.Context(cli)
    group = cli if not words else cli.get_command(ctx, words[0])
    assert isinstance(group, Sections)
    there = set(COMMANDS) if group is cli else set(group.commands)
    assert sorted(group.list_commands(ctx)) == sorted(there)
    assert all(group.about(ctx, name).endswith(".") for name in there)
    text = said(*words, "--help")
    assert "..." not in text.replace("[ARGS]...", "")
    assert max(map(len, text.splitlines())) <= 80


def test_a_commands_help_is_the_same_by_either_way():
    assert said("help", "quarantine", "release") == said("quarantine", "release", "--help")
    assert said("help", "lists") == said("lists", "--help")


def test_without_a_topic_the_topics_are_listed_and_another_is_refused():
    assert all(name in said("help") for name in TOPICS)
    assert "topics are outcomes" in said("help", "outcome", code=2)


def test_exit_codes_are_those_of_the_docs_and_of_every_error():
    text = (DOCS / "operations.md").read_text()
    _, _, table = text.partition("## Exit codes")
    rows = re.findall(r"^\| (\d[^|]*) \| ([^|]*) \| ([^|]*) \|$", table.partition("\n## ")[0], re.M)
    told = [(code, meaning.replace("`", "")) for code, meaning, _ in rows]
    assert told == [(row.code, row.meaning.replace("`", "")) for row in EXIT_CODES]
    known = {row.code for row in EXIT_CODES}
    for module in pkgutil.walk_packages(hashmatch.__path__, "hashmatch."):
        importlib.import_module(module.name)
    kinds = [HashmatchError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 50
    assert {str(kind.exit_code) for kind in kinds if kind.exit_code < 30} <= known
    assert all(row.code in said("help", "exit-codes") for row in EXIT_CODES)


def test_outcomes_and_reasons_are_all_there():
    assert set(OUTCOMES) == {outcome.value for outcome in Outcome}
    text = said("help", "outcomes")
    assert all(reason.value in text and reason.text in text for reason in Reason)


def test_roles_are_those_of_the_docs():
    assert set(ROLES) == {role.value for role in Role}
    text = (DOCS / "security.md").read_text()
    assert all(f"| {role} | {may} |" in text for role, may in ROLES.items())
    assert all(may in said("help", "roles") for may in ROLES.values())


def test_settings_are_shown_as_init_writes_them():
    assert "# [match] distance" not in said("help", "settings")
    assert "[match]" in said("help", "settings")
    assert "# lock_days = 0" in said("help", "settings")


def commands(group: click.Group = cli, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in group.list_commands(click.Context(group)):
        words, command = (*above, name), group.get_command(click.Context(group), name)
        yield words
        if isinstance(command, click.Group):
            yield from commands(command, words)


def test_no_commands_help_is_wider_than_a_terminal():
    found = list(commands())
    assert len(found) > 50
    wide = [
        (words, line)
        for words in found
        for line in said(*words, "--help").splitlines()
        if len(line) > 80
    ]
    assert not wide
