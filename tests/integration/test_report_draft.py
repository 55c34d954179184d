"""`hashmatch quarantine export`, as a custodian types it, on both databases."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from platform_parts import AT, ETAG, SHA256, Cases, cases, sqlite_cases

from hashmatch.access import RoleMissing, account
from hashmatch.audit import log
from hashmatch.audit.commitments import opened
from hashmatch.cli.main import cli
from hashmatch.custody.case_record import NoSuchCase
from hashmatch.db.schema import CaseRow, ClipRow, FingerprintRow, ListRow, MatchRow
from hashmatch.newfile import OutputRefused

__all__ = ["cases", "sqlite_cases"]

# Of the letter a.
MD5, SHA1 = "0cc175b9c0f1b6a831c399e269772661", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"


class Custodian:
    """Somebody at the command line, with one case whose clip matched twice, at one look each."""

    def __init__(self, cases: Cases, url: str, home: Path, key: str = "2026/11/4711.mp4") -> None:
        self.cases, self.home = cases, home
        self.config = home / "hashmatch.toml"
        self.config.write_text(f'[database]\nurl = "{url}"\n')
        self.out = home / "drafts"
        self.out.mkdir()
        self.case = cases.open(key=key)
        with cases.db.write() as session:
            session.add(ListRow(name="ncmec", created_at=AT))
            session.flush()
            row = session.get_one(CaseRow, self.case)
            clip = session.get_one(ClipRow, row.clip_id)
            clip.visibility, clip.channel, clip.created = "public", f"channel {MD5.upper()}", AT
            session.add(
                FingerprintRow(
                    clip_id=clip.id,
                    etag=ETAG,
                    md5=MD5,
                    sha1=SHA1,
                    sha256=SHA256,
                    size=7,
                    seen=14.0,
                    recipe="pdq/2",
                    frames=b"",
                    made_at=AT,
                )
            )
            for start in (1.0, 2.0):
                session.add(
                    MatchRow(
                        run_id="run-1",
                        clip_id=clip.id,
                        etag=ETAG,
                        list_name="ncmec",
                        version=7,
                        entry_id="entry-17",
                        classification="A2",
                        kind="sequence",
                        action="quarantine",
                        algorithm="pdq",
                        distance=9,
                        start=start,
                        end=14.5,
                        frames=31,
                        variant="as-is",
                    )
                )
                session.flush()

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(
            cli, ["--config", str(self.config), "quarantine", "export", *words]
        )

    def exports(self) -> dict:
        result = self.types(self.case, "--out", str(self.out))
        assert result.exception is None, result.output
        return json.loads((self.out / f"{self.case}.json").read_text())

    def viewed(self) -> str:
        said = self.exports()["fileDetails"]["fileViewedByEsp"]
        for file in self.out.iterdir():
            file.unlink()
        return said

    def log(self, kind: str, case: str) -> None:
        with self.cases.db.write() as session:
            log.append(session, kind, {"case": case}, AT)


@pytest.fixture
def custodian(cases: Cases, database_url: str, tmp_path: Path) -> Custodian:
    return Custodian(cases, database_url, tmp_path)


@pytest.fixture
def sqlite_custodian(sqlite_cases: Cases, tmp_path: Path) -> Custodian:
    return Custodian(sqlite_cases, f"sqlite:///{tmp_path}/hashmatch.db", tmp_path)


def test_a_draft_is_three_files_for_its_owner_alone_and_is_on_the_log(custodian: Custodian):
    result = custodian.types(custodian.case, "--out", str(custodian.out))
    assert result.exception is None, result.output
    files = sorted(custodian.out.iterdir())
    assert [file.name for file in files] == ["case-a.file.xml", "case-a.json", "case-a.report.xml"]
    assert sorted(result.stdout.split()) == sorted(map(str, files))
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "Nothing was sent." in result.stderr
    assert "report/reporter/reportingPerson/email (required)" in result.stderr
    (leaf,) = custodian.cases.leaves("case-exported")
    assert (leaf["case"], leaf["viewed"]) == ("case-a", False)
    with custodian.cases.db.read() as session:
        assert opened(session, leaf["by"]) == account()
    assert account() not in custodian.cases.log()


def test_a_draft_says_what_is_on_record(custodian: Custodian):
    draft = custodian.exports()
    assert draft["fileDetails"]["originalFileName"] == "4711.mp4"
    assert draft["fileDetails"]["publiclyAvailable"] == "true"
    assert draft["fileDetails"]["industryClassification"] == "A2"
    about = draft["fileDetails"]["additionalInfo"]
    assert about.count("Matched") == 1
    assert "2.0 to 14.5 s" in about
    root = ET.parse(custodian.out / "case-a.file.xml").getroot()
    assert root.findtext("additionalInfo") == about


def test_no_digest_and_no_distance_is_in_a_draft(custodian: Custodian):
    custodian.exports()
    said = " ".join(file.read_text().lower() for file in custodian.out.iterdir())
    for digest in (MD5, SHA1, SHA256, ETAG):
        assert digest not in said
    assert "channel: channel [digest]." in said
    assert "distance" not in said


@pytest.mark.parametrize("digest", [MD5, SHA1.upper(), SHA256, ETAG])
def test_a_key_that_is_a_digest_is_left_out(sqlite_cases: Cases, tmp_path: Path, digest: str):
    url = f"sqlite:///{tmp_path}/hashmatch.db"
    custodian = Custodian(sqlite_cases, url, tmp_path, key=f"{digest[:2]}/{digest}.mp4")
    draft = custodian.exports()
    assert draft["fileDetails"]["originalFileName"] is None
    assert digest not in json.dumps(draft)


def test_a_viewing_is_taken_from_the_log_of_this_case_and_from_nowhere_else(custodian: Custodian):
    assert custodian.viewed() == "false"
    custodian.log("case-shown", "case-a")
    custodian.log("case-opened", "case-b")
    custodian.log("case-exported", "case-a")
    assert custodian.viewed() == "false"
    custodian.log("case-opened", "case-a")
    assert custodian.viewed() == "true"
    assert custodian.cases.leaves("case-exported")[-1]["viewed"] is True


def test_an_opening_before_the_case_was_begun_anew_is_none_of_these_bytes(
    sqlite_custodian: Custodian,
):
    custodian = sqlite_custodian
    custodian.log("case-opened", "case-a")
    custodian.log("case-reopened", "case-b")
    assert custodian.viewed() == "true"
    custodian.log("case-reopened", "case-a")
    assert custodian.viewed() == "false"
    custodian.log("case-opened", "case-a")
    assert custodian.viewed() == "true"


def test_the_other_heights_of_the_clip_are_named(sqlite_custodian: Custodian):
    custodian = sqlite_custodian
    custodian.cases.open("case-b", key="other.mp4")
    for case in ("case-a", "case-b"):
        custodian.cases.reopen(case, rendition_of="4711", detected_at=AT + timedelta(seconds=1))
    draft = custodian.exports()
    assert "The same clip at other heights: case-b." in draft["report"]["additionalInfo"]


def test_nothing_is_overwritten_and_what_was_not_written_is_not_on_the_log(
    sqlite_custodian: Custodian,
):
    custodian = sqlite_custodian
    target = custodian.out / "case-a.report.xml"
    target.symlink_to(custodian.home / "elsewhere")
    result = custodian.types(custodian.case, "--out", str(custodian.out))
    assert isinstance(result.exception, OutputRefused)
    assert "it exists" in result.exception.message
    assert not (custodian.home / "elsewhere").exists()
    assert custodian.cases.leaves() == []


def test_a_folder_that_is_not_there_or_not_ours_is_an_error(sqlite_custodian: Custodian):
    custodian = sqlite_custodian
    for folder in ("nowhere", "hashmatch.toml", "/proc/self"):
        result = custodian.types(custodian.case, "--out", str(custodian.home / folder))
        assert isinstance(result.exception, OutputRefused), result.output


def test_a_case_that_nobody_knows_is_an_error(sqlite_custodian: Custodian):
    result = sqlite_custodian.types("../case-z", "--out", str(sqlite_custodian.out))
    assert isinstance(result.exception, NoSuchCase)


def test_only_a_custodian_may_export(sqlite_custodian: Custodian):
    custodian = sqlite_custodian
    config = custodian.config
    config.write_text(config.read_text() + '[people]\ncustodians = ["somebody-else"]\n')
    result = custodian.types(custodian.case, "--out", str(custodian.out))
    assert isinstance(result.exception, RoleMissing)
    assert list(custodian.out.iterdir()) == []
