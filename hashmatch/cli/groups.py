"""Groups of commands whose help has sections, and a whole sentence for each command.

@click.group("review", cls=Sections, sections={"Look": ("list", "show"), "Decide": ("confirm", "reject")})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click


class Sections(click.Group):
    """sections: the names of the commands under each heading, in their order; each in one of them."""

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[str]] | None = None, **given: Any
    ) -> None:
        super().__init__(*args, **given)
        self._sections = sections

    @property
    def sections(self) -> Mapping[str, Sequence[str]]:
        return self._sections or {"Commands": sorted(self.commands)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in self.sections.values() for name in names]

    def about(self, ctx: click.Context, name: str) -> str:
        """What a command does, in a sentence."""
        command = self.get_command(ctx, name)
        text = "" if command is None else command.help or ""
        first = " ".join(text.partition("\n\n")[0].split())
        sentence, dot, _ = first.partition(". ")
        return sentence + dot.strip()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx)), default=0)
        for heading, names in self.sections.items():
            with formatter.section(heading):
                rows = [(name.ljust(width), self.about(ctx, name)) for name in names]
                formatter.write_dl(rows)
