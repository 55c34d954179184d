"""Who may import whom, as the contracts in setup.cfg have it."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[2]


def test_no_module_imports_what_it_must_not(capsys: pytest.CaptureFixture[str]) -> None:
    kept = lint_imports(config_filename=str(ROOT / "setup.cfg"), no_cache=True)
    assert kept == EXIT_STATUS_SUCCESS, capsys.readouterr().out
