"""`hashmatch help`: a command's help, or one of the topics."""

from __future__ import annotations

import click

from hashmatch.cli.app import say, table
from hashmatch.cli.topics import TOPICS


@click.command("help")
@click.argument("words", nargs=-1, metavar="[TOPIC | COMMAND...]")
@click.pass_context
def help_command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a command, or one of the topics; without either, list the topics.

    \b
    Example:
      hashmatch help outcomes
      hashmatch help quarantine release
    """
    if not words:
        table(["topic", "about"], [[name, about] for name, (about, _) in TOPICS.items()])
        say()
        say("`hashmatch help TOPIC` explains one, `hashmatch help COMMAND` a command.")
    elif len(words) == 1 and words[0] in TOPICS:
        TOPICS[words[0]][1]()
    else:
        for line in _help_of(ctx.find_root(), words).splitlines():
            say(line)


def _help_of(ctx: click.Context, words: tuple[str, ...]) -> str:
    """Raises UsageError for what is neither a topic nor a command."""
    for word in words:
        group = ctx.command
        command = group.get_command(ctx, word) if isinstance(group, click.Group) else None
        if command is None:
            known = ", ".join(TOPICS)
            problem = f"there is no topic and no command {' '.join(words)!r}; topics are {known}"
            raise click.UsageError(problem)
        ctx = command.context_class(command, info_name=word, parent=ctx)
    return ctx.get_help()
