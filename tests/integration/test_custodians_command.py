"""`hashmatch quarantine hold|lift|report|due|release|destroy|forget|requests|cancel`, as typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from people_parts import KEY, Office

from hashmatch import access
from hashmatch.access import NobodyNamed, RoleMissing
from hashmatch.cli.custodians import COMMANDS
from hashmatch.cli.main import cli
from hashmatch.cli.quarantine import quarantine_command
from hashmatch.custody.case_record import NoSuchCase
from hashmatch.custody.holds import NotHeld
from hashmatch.custody.preconditions import HoldForbids, NeverReported, StillKept
from hashmatch.custody.reporting import ReportTimeWrong
from hashmatch.custody.retention.rules import NoJurisdiction, RetentionWrong

PEOPLE = '[people]\ncustodians = ["alice", "bob"]\nauditors = ["anna"]\nreviewers = ["rita"]\n'


class Desk:
    """Somebody at the command line."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = home / "hashmatch.toml"
        self.settings('[custody]\njurisdictions = ["CA", "UK"]\n' + PEOPLE)
        self.person = "alice"
        monkeypatch.setattr(access, "account", lambda: self.person)

    def settings(self, text: str) -> None:
        self.config.write_text(text)

    def types(self, *words: str, by: str = "alice") -> Result:
        self.person = by
        return CliRunner().invoke(cli, ["--config", str(self.config), "quarantine", *words])

    def does(self, *words: str, by: str = "alice") -> Result:
        result = self.types(*words, by=by)
        assert result.exception is None, result.output
        return result

    def reads(self, *words: str, by: str = "alice"):
        return json.loads(self.does(*words, "--json", by=by).stdout)


@pytest.fixture
def office(sqlite_db) -> Office:
    return Office(sqlite_db)


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_a_hold_is_placed_and_lifted(office, desk):
    case = office.case()
    said = desk.does("hold", case, "--reason", "court order").stderr
    assert f"hashmatch quarantine lift {case} --hold 1 --reason" in said
    assert office.row(case).state == "held"
    desk.does("hold", case, "--reason", "another")
    said = desk.does("lift", case, "--hold", "1", "--reason", "over", by="bob").stderr
    assert "stays held: 1" in said
    assert "no longer held" in desk.does("lift", case, "--reason", "over").stderr
    assert office.row(case).state == "removed"
    assert isinstance(desk.types("lift", case, "--reason", "over").exception, NotHeld)


def test_a_report_is_noted_at_the_time_it_was_taken(office, desk):
    case = office.case(ago=timedelta(days=40))
    at = office.start - timedelta(days=2)
    said = desk.does("report", case, "--reference", "CyberTip 1", "--at", f"{at:%Y-%m-%dT%H:%M:%S}")
    assert f"{at:%Y-%m-%dT%H:%M:%S}+00:00" in said.stderr
    row = office.row(case)
    assert (row.state, row.report_reference) == ("reported", "CyberTip 1")
    assert row.reported_at == at.replace(microsecond=0)
    desk.does("report", case, "--reference", "CyberTip 2")
    assert office.row(case).reported_at > at
    wrong = desk.types("report", case, "--reference", "x", "--at", "2999-01-01")
    assert isinstance(wrong.exception, ReportTimeWrong)


@pytest.mark.parametrize("at", ["yesterday", "22.11.2026", "25:00"])
def test_a_time_that_cannot_be_read_is_a_usage_error(office, desk, at):
    assert desk.types("report", office.case(), "--reference", "x", "--at", at).exit_code == 2


def test_destruction_is_asked_and_nothing_happens_until_somebody_else_confirms(office, desk):
    case = office.case(reported_at=office.start - timedelta(days=500), state="reported")
    said = desk.does("destroy", case, "--reason", "the year is over")
    assert said.stdout == ""
    assert re.search(
        rf"bob, a custodian, must confirm within 72 hours, until .* with "
        rf"`hashmatch quarantine confirm {case}`",
        said.stderr,
    )
    assert office.row(case).state == "reported"
    [request] = desk.reads("requests", by="anna")
    assert (request["case"], request["kind"], request["state"]) == (case, "destroy", "open")
    assert (request["asked_by"], request["may_confirm"]) == ("alice", ["bob"])
    assert "the year is over" in desk.does("requests").stdout
    desk.does("cancel", case, by="bob")
    assert desk.reads("requests") == []
    desk.does("release", case, "--reason", "it is our own trailer", by="bob")
    [request] = desk.reads("requests")
    assert (request["kind"], request["may_confirm"]) == ("release", ["alice"])


def test_what_was_asked_too_long_ago_is_shown_as_expired(office, desk):
    desk.settings("[custody]\nconfirm_hours = 1e-7\n" + PEOPLE)
    desk.does("release", office.case(), "--reason", "it is our own trailer")
    [request] = desk.reads("requests")
    assert (request["state"], request["may_confirm"]) == ("expired", [])


def test_each_refusal_says_why_and_what_to_do(office, desk):
    fresh, held = office.case(), office.case()
    destroyed = office.case("destroyed", reported_at=office.start - timedelta(days=400))
    desk.does("hold", held, "--reason", "court order")
    for words, error, remedy in (
        (("destroy", fresh), NeverReported, "quarantine report"),
        (("destroy", held), HoldForbids, "quarantine lift"),
        (("forget", destroyed), StillKept, "quarantine due"),
        (("release", "case-x"), NoSuchCase, "quarantine list"),
    ):
        refused = desk.types(*words, "--reason", "because").exception
        assert isinstance(refused, error)
        assert refused.exit_code == 22
        assert remedy in refused.remedy


def test_due_shows_the_clocks_of_each_case_and_what_counsel_has_not_seen(office, desk):
    waiting = office.case()
    at = office.start - timedelta(days=500)
    ended = office.case("reported", reported_at=at)
    office.case("destroyed", reported_at=at)
    found = desk.reads("due", by="anna")
    assert [case["case"] for case in found] == [waiting, ended]
    assert [clock["start"] for clock in found[0]["clocks"]] == [None, None]
    uk, ca = found[1]["clocks"]
    assert (uk["rule"], uk["ended"], ca["rule"], ca["ended"]) == (
        "uk-content",
        True,
        "ca-content",
        True,
    )
    assert uk["start"] == at.isoformat(timespec="seconds")
    assert (uk["source"], uk["counsel"]) == ("SI 2026/268", "not reviewed")
    shown = desk.does("due")
    assert "not reported" in shown.stdout
    assert "SI 2026/268" in shown.stdout
    assert "Waiting for a report: 1." in shown.stderr
    assert "Not reviewed by your counsel: ca-content, uk-content, uk-reference." in shown.stderr
    assert "somebody" not in shown.output


def test_without_a_jurisdiction_nothing_can_be_due_or_destroyed(office, desk):
    desk.settings(PEOPLE)
    case = office.case()
    for words in (["due"], ["destroy", case, "--reason", "x"]):
        refused = desk.types(*words).exception
        assert isinstance(refused, NoJurisdiction)
        assert refused.exit_code == 14
    desk.does("release", case, "--reason", "it is our own trailer")


def test_rules_that_make_no_sense_stop_destruction_and_never_a_hold(office, desk, tmp_path):
    (tmp_path / "own.toml").write_text('[[rule]]\nname = "xx"\n')
    desk.settings('[custody]\nretention = "own.toml"\n' + PEOPLE)
    case = office.case()
    refused = desk.types("destroy", case, "--reason", "x").exception
    assert isinstance(refused, RetentionWrong)
    assert "rule 1 ('xx'): jurisdiction is missing" in refused.message
    desk.does("hold", case, "--reason", "court order")


DECIDING = (
    ("hold", "--reason", "x"),
    ("lift", "--reason", "x"),
    ("report", "--reference", "x"),
    ("release", "--reason", "x"),
    ("destroy", "--reason", "x"),
    ("forget", "--reason", "x"),
    ("cancel",),
)


@pytest.mark.parametrize("words", DECIDING, ids=lambda words: words[0])
def test_only_custodians_decide(office, desk, words):
    case = office.case()
    command, *options = words
    for person in ("anna", "rita", "mallory"):
        refused = desk.types(command, case, *options, by=person).exception
        assert isinstance(refused, RoleMissing)
        assert refused.exit_code == 25
    assert office.kinds() == ["case-detected"]


@pytest.mark.parametrize("words", DECIDING[3:], ids=lambda words: words[0])
def test_what_takes_two_people_takes_names(office, desk, words):
    desk.settings("")
    command, *options = words
    assert isinstance(desk.types(command, office.case(), *options).exception, NobodyNamed)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_is_there_and_has_help_with_an_example(command):
    result = CliRunner().invoke(quarantine_command, [command.name, "--help"])
    assert result.exit_code == 0
    assert f"hashmatch quarantine {command.name}" in result.output


def test_a_refusal_ends_the_program_with_its_message_and_remedy(office, desk):
    """With the account that really runs it, which [people] does not name."""
    command = [sys.executable, "-m", "hashmatch", "--config", str(desk.config), "quarantine"]
    ended = subprocess.run(
        [*command, "hold", office.case(clip_key=KEY), "--reason", "court order"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 25
    assert "role of custodian" in ended.stderr
    assert "Traceback" not in ended.stderr
