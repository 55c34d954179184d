"""hashmatch.toml as `hashmatch init` writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hashmatch.config.settings import sections


def render(values: Mapping[str, Mapping[str, Any]]) -> str:
    """hashmatch.toml with every setting and what it is for; those in `values` are set."""
    lines = [
        "# hashmatch: every setting, with its default. Each can also be given as an environment",
        "# variable: [clips] url is HASHMATCH_CLIPS__URL. Relative paths start from this file's folder.",
    ]
    for name, section in sections():
        lines += ["", f"[{name}]"]
        for key, field in section.model_fields.items():
            lines.append(f"# {field.description}")
            value = values.get(name, {}).get(key)
            shown = _toml(field.default if value is None else value)
            lines.append(f"{'# ' if value is None else ''}{key} = {shown}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # TOML's strings know JSON's escapes, and take no DEL as it is.
    return json.dumps(str(value or ""), ensure_ascii=False).replace("\x7f", "\\u007f")
