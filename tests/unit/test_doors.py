"""The command line parses, calls a service and shows what it returned: policy is in `services`.

Told by the syntax tree: no transaction, no lock, no leaf, no role check and no query in `cli/`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hashmatch

CLI = Path(hashmatch.__file__).parent / "cli"
# What transactions, locks, leaves, role checks and queries are called; SQL itself takes an import.
CALLED = {"read", "write", "tree_head", "run_lock", "custody_lock", "append", "person", "permitted"}
CALLED |= {"scalars", "scalar"}
# Those that do still have policy of their own. A module that is free of it leaves this list.
WITH_POLICY = {
    "app",  # what the others still take roles from
    "approvals",
    "audit",
    "custodians",
    "proofs",
    "quarantine",
    "report_draft",
    "runs",
    "scan",
    "viewing",
}


def policy_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            yield f"{node.lineno}: {node.module}"
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        of = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
        file = of.startswith("sys.") or of in ("file", "given", "sink")
        if name in CALLED and not file and (name != "append" or of == "log"):
            yield f"{node.lineno}: {name}"


@pytest.mark.parametrize("module", sorted(path.stem for path in CLI.glob("*.py")))
def test_the_command_line_has_no_policy_of_its_own(module):
    found = list(policy_in((CLI / f"{module}.py").read_text("utf-8")))
    if module in WITH_POLICY:
        assert found, f"cli/{module}.py is free of policy: take it off the list"
    else:
        assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "with app.db.write() as session: pass",
        "log.append(session, 'kind', {}, at)",
        "by = app.person(Role.OPERATOR)",
        "rows = session.scalars(query)",
        "with db.run_lock(): pass",
        "from sqlalchemy import select",
    ],
)
def test_policy_is_recognised(line):
    assert list(policy_in(line))


@pytest.mark.parametrize("line", ["sys.stdout.write(text)", "rows.append(row)", "file.write(b'')"])
def test_what_is_none_is_not(line):
    assert not list(policy_in(line))
