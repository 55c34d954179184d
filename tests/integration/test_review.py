"""Reviews: opened by what is recorded of clips, decided at the command line, on both databases."""

from __future__ import annotations

import csv
import hashlib
import json
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from archive_parts import AT, Archive, drawn, near
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from hashmatch.access import Role, RoleMissing, account
from hashmatch.audit.verification import verify
from hashmatch.cli.app import App
from hashmatch.cli.main import cli
from hashmatch.config import Review
from hashmatch.db import fingerprints
from hashmatch.db.schema import (
    CaseRow,
    ClipRow,
    DecisionRow,
    FingerprintRow,
    LeafRow,
    ListRow,
    MatchRow,
    ReviewRow,
    RunRow,
)
from hashmatch.db.session import Database
from hashmatch.errors import StorageError
from hashmatch.hashing.recipes import recipe
from hashmatch.lists.catalog import ListUnknown
from hashmatch.model import Action, Algorithm, Match, MatchKind, Outcome, Reason, Verdict
from hashmatch.newfile import OutputRefused
from hashmatch.reviews import entry_standing, review_record
from hashmatch.reviews.entry_standing import EntryName, Level, NothingToLift
from hashmatch.reviews.findings import Finding, digests_of
from hashmatch.reviews.review_record import NoneOpen, NoSuchReview, NotOpen
from hashmatch.runs.review_overrides import Reviewed
from hashmatch.services.review_decisions import ClipGone, Desk, NotInReview, ReasonRefused

OLD, NEW, OTHER = drawn(1), drawn(2), drawn(3)
WHY = "the same sofa in another film"
PERSON = account()


@dataclass
class Office:
    """An archive with clips that wait for a person, and the command line in front of it."""

    archive: Archive
    url: str

    @property
    def db(self) -> Database:
        return self.archive.db

    @property
    def desk(self) -> Desk:
        return Desk(self.archive.settings, self.db)

    def types(self, *words: str, **settings: str) -> Result:
        environment = {"HASHMATCH_DATABASE__URL": self.url, **settings}
        config = str(self.archive.home / "hashmatch.toml")
        return CliRunner().invoke(cli, ["--config", config, "review", *words], env=environment)

    def reads(self, *words: str) -> Any:
        result = self.types(*words, "--json")
        assert result.exception is None, result.output
        return json.loads(result.stdout)

    def remembers(self, key: str, *frames: bytes, **about: Any) -> int:
        """A clip with these frames, and others that are on no list."""
        others = [drawn(1000 + number) for number in range(3)]
        return self.archive.remember(key, [*frames, *others], **about)

    def review(self, key: str) -> ReviewRow:
        query = select(ReviewRow).join(ClipRow, ClipRow.id == ReviewRow.clip_id)
        with self.db.read() as session:
            return session.scalars(query.where(ClipRow.key == key)).one()

    def clip(self, key: str) -> ClipRow:
        with self.db.read() as session:
            return session.scalars(select(ClipRow).where(ClipRow.key == key)).one()

    def leaves(self, kind: str | None = None) -> list[dict[str, Any]]:
        query = select(LeafRow.kind, LeafRow.body).order_by(LeafRow.seq)
        with self.db.read() as session:
            rows = session.execute(query).all()
        return [json.loads(body)["body"] for name, body in rows if kind in (None, name)]

    def lists_anew(self, **entries: bytes) -> None:
        """A version with these entries beside the old one; what is stored is compared with it."""
        listed = {name.replace("_", "-"): [bits] for name, bits in entries.items()}
        self.archive.activate("partner", {"e-old": [OLD], **listed})
        self.archive.compare()


def opened(home: Path, db: Database, url: str) -> Office:
    archive = Archive(home / "home", db)
    archive.activate("partner", {"e-old": [OLD]})
    return Office(archive, url)


@pytest.fixture
def office(tmp_path: Path, db: Database, database_url: str) -> Office:
    """Both databases."""
    return opened(tmp_path, db, database_url)


@pytest.fixture
def small(tmp_path: Path, sqlite_db: Database) -> Office:
    """SQLite, for what is not about databases."""
    return opened(tmp_path, sqlite_db, f"sqlite:///{tmp_path}/hashmatch.db")


def one_frame(office: Office, key: str = "alice/clip.mp4") -> str:
    """A clip with a single frame of what a new version lists. Returns its review."""
    (office.archive.home / "clips" / key).parent.mkdir(parents=True, exist_ok=True)
    office.remembers(key, near(NEW, 20))
    office.lists_anew(e_new=NEW)
    return office.review(key).id


def test_a_stored_comparison_opens_a_review_once_with_its_leaf(office):
    review = one_frame(office)
    office.lists_anew(e_new=NEW, e_more=drawn(77))
    (leaf,) = office.leaves("review-opened")
    assert leaf["review"] == review
    assert leaf["matches"] == [
        {"list": "partner", "version": 2, "entry": "e-new", "classification": None}
    ]
    (listed,) = office.reads("list")
    assert (listed["review"], listed["state"], listed["lists"]) == (review, "open", ["partner"])
    with office.db.read() as session:
        verify(session)


def test_list_has_the_oldest_first_and_keeps_to_the_asked_list_and_state(small):
    one_frame(small, "first.mp4")
    small.remembers("second.mp4", OTHER)
    small.lists_anew(e_new=NEW, e_other=OTHER)
    first, second = small.review("first.mp4").id, small.review("second.mp4").id
    assert [one["review"] for one in small.reads("list")] == [first, second]
    assert len(small.reads("list", "--list", "partner")) == 2
    assert small.reads("list", "--list", "elsewhere") == []
    assert small.reads("list", "--state", "rejected") == []
    assert [one["clip_key"] for one in small.reads("list")] == ["first.mp4", "second.mp4"]
    assert "first.mp4" in small.types("list").output


def test_show_says_what_matched_when_and_from_which_list_and_that_it_was_shown(small):
    review = one_frame(small)
    shown = small.reads("show", review)
    assert (shown["clip_key"], shown["state"]) == ("alice/clip.mp4", "open")
    assert shown["waited"] == "0 d 0 h"
    (match,) = shown["matches"]
    assert (match["list"], match["version"], match["entry"]) == ("partner", 2, "e-new")
    assert (match["start"], match["frames"], match["standing"]) == (0.0, 1, "acts")
    assert match["decision"] == "open"
    leaf = small.leaves("review-shown")[-1]
    assert leaf["review"] == review
    assert leaf["by"].startswith("person-")
    assert "e-new" in small.types("show", review).output


def test_promise_4_no_command_prints_a_hash_or_a_distance_and_no_leaf_says_who_or_which_clip(small):
    review = one_frame(small)
    small.types("reject", review, "--reason", WHY)
    out = small.archive.home / "feedback.csv"
    said = [small.types("export", "--out", str(out)).output, out.read_text()]
    for words in (["list", "--state", "rejected"], ["show", review], ["entries"]):
        said += [small.types(*words).output, small.types(*words, "--json").output]
    etag = small.clip("alice/clip.mp4").etag
    digest = hashlib.sha256(b"alice/clip.mp4").hexdigest()
    for text in said:
        for secret in (NEW.hex(), near(NEW, 20).hex(), digest, etag, "distance"):
            assert secret not in text
    with small.db.read() as session:
        leaves = b"".join(session.scalars(select(LeafRow.body)))
    mine = leaves[leaves.index(b"review-opened") :]
    for secret in (b"alice", WHY.encode(), digest.encode(), f'"by":"{PERSON}"'.encode()):
        assert secret not in mine


def test_a_rejected_match_never_comes_back_in_a_stored_comparison(office):
    review = one_frame(office)
    result = office.types("reject", review, "--reason", WHY)
    assert "the clip is clean" in result.output
    clip = office.clip("alice/clip.mp4")
    assert (clip.outcome, clip.reason, clip.retry_at) == ("clean", None, None)
    (decided,) = office.leaves("matches-rejected")
    (ended,) = office.leaves("review-rejected")
    assert decided["of"] == ended["review"] == review
    assert (ended["outcome"], ended["reason"]) == ("clean", None)
    office.lists_anew(e_new=near(NEW, 2), e_more=drawn(77))
    assert office.clip("alice/clip.mp4").outcome == "clean"
    assert office.reads("list") == []


def test_another_entry_opens_the_review_again(small):
    review = one_frame(small)
    small.desk.reject(review, [], reason=WHY, by="alice")
    small.lists_anew(e_new=NEW, e_next=near(NEW, 10, seed=5))
    row = small.review("alice/clip.mp4")
    assert (row.id, row.state, row.decided_by) == (review, "open", None)
    (leaf,) = small.leaves("review-reopened")
    assert (leaf["was"], [match["entry"] for match in leaf["matches"]]) == ("rejected", ["e-next"])


def test_some_of_the_matches_can_be_rejected_and_the_rest_stays_open(small):
    small.remembers("clip.mp4", NEW, OTHER)
    small.lists_anew(e_new=NEW, e_other=OTHER)
    review = small.review("clip.mp4").id
    result = small.types("reject", review, "--entry", "partner/e-new", "--reason", WHY)
    assert "stays open: 1" in result.output
    assert small.clip("clip.mp4").outcome == "review"
    decisions = {m["entry"]: m["decision"] for m in small.reads("show", review)["matches"]}
    assert decisions == {"e-new": "rejected", "e-other": "open"}
    again = small.types("reject", review, "--entry", "partner/e-new", "--reason", WHY)
    assert isinstance(again.exception, NotInReview)
    small.types("reject", review, "--reason", WHY)
    assert (small.review("clip.mp4").state, small.clip("clip.mp4").outcome) == ("rejected", "clean")


@pytest.mark.parametrize(
    ("about", "outcome", "reason"),
    [
        ({"coverage": 0.5}, Outcome.PARTIAL, Reason.TRUNCATED),
        ({"quality": 10}, Outcome.UNSCANNABLE, Reason.NO_USABLE_FRAMES),
    ],
    ids=["partial", "no usable frames"],
)
def test_promise_1_a_clip_whose_matches_are_all_rejected_is_what_was_seen_of_it(
    small, about, outcome, reason
):
    """By its coverage, and not clean because nobody is left who accuses it."""
    review = with_digest_match(small, **about)
    small.desk.reject(review, [], reason=WHY, by="alice")
    clip = small.clip("clip.mp4")
    assert (clip.outcome, clip.reason) == (outcome, reason)
    # And so says the next look that finds the same match again, before it is recorded.
    match = Match(
        list="partner", version=1, entry="e-file", kind=MatchKind.FILE, distance=0,
        action=Action.QUARANTINE, start=0, end=0, frames=0, classification="A1",
    )  # fmt: skip
    with small.db.read() as session:
        seen = fingerprints.load(session, clip.id, {recipe(Algorithm.PDQ)})
        found = Verdict(Outcome.MATCHED, None, seen.coverage, (match,))
        sifted = Reviewed(small.archive.job.scan).sift(session, clip.id, clip.etag, seen, found)
    assert (sifted.outcome, sifted.reason) == (outcome, reason)
    assert (sifted.matches, sifted.rejected) == ((), (("partner", "e-file"),))


def with_digest_match(office: Office, **about: Any) -> str:
    """A clip of which a match is on record that its frames do not give. Returns its review."""
    clip_id = office.remembers("clip.mp4", outcome=Outcome.REVIEW, **about)
    record_match(office, clip_id, "e-file")
    with office.db.write() as session:
        review_record.open_missing(session, office.archive.names, AT)
    return office.review("clip.mp4").id


def record_match(office: Office, clip_id: int, entry: str) -> None:
    """As a run leaves it that sent a clip to review."""
    office.archive.compare()
    with office.db.write() as session:
        run_id = session.scalars(select(RunRow.id).order_by(RunRow.started_at.desc())).first()
        clip = session.get_one(ClipRow, clip_id)
        clip.scanned_run = run_id
        session.add(
            MatchRow(
                run_id=run_id, clip_id=clip_id, etag=clip.etag, list_name="partner", version=1,
                entry_id=entry, classification="A1", kind=MatchKind.FILE, algorithm="sha256",
                action=Action.QUARANTINE, distance=0, start=0, end=0, frames=0, variant="original",
            )
        )  # fmt: skip


def test_clips_that_were_sent_to_review_before_there_were_reviews_get_theirs(office):
    clip_id = office.remembers("clip.mp4", outcome=Outcome.REVIEW)
    record_match(office, clip_id, "e-older")
    office.archive.compare()
    assert office.review("clip.mp4").state == "open"
    office.archive.compare()
    assert len(office.leaves("review-opened")) == 1


@pytest.mark.parametrize("trouble", ["damaged", "fell short", "changed meanwhile"])
def test_a_clip_whose_outcome_cannot_be_said_from_what_is_stored_is_due_for_a_scan(small, trouble):
    review = one_frame(small)
    with small.db.write() as session:
        if trouble == "damaged":
            session.execute(update(FingerprintRow).values(frames=b"nonsense"))
        elif trouble == "fell short":
            session.execute(update(ClipRow).values(reason=Reason.OTHER_RECIPE))
        else:
            session.execute(update(ClipRow).values(etag="newer"))
    done = small.desk.reject(review, [], reason=WHY, by="alice")
    assert done.outcome is None
    clip = small.clip("alice/clip.mp4")
    assert (clip.outcome, clip.retry_at is not None) == ("review", True)


def test_a_review_that_ended_with_an_earlier_one_is_no_error_however_it_is_named(small):
    clips = [small.remembers(f"{n}.mp4", NEW) for n in (1, 2)]
    with small.db.write() as session:
        same = FingerprintRow.clip_id.in_(clips)
        session.execute(update(FingerprintRow).where(same).values(sha256="a" * 64))
    small.lists_anew(e_new=NEW)
    begin = [small.review(f"{n}.mp4").id[:14] for n in (1, 2)]
    result = small.types("reject", *begin, "--reason", WHY)
    assert result.exception is None, result.output
    assert [small.review(f"{n}.mp4").state for n in (1, 2)] == ["rejected"] * 2


def test_open_reviews_of_the_same_bytes_end_together(small):
    first, second = (small.remembers(f"{n}.mp4", NEW) for n in (1, 2))
    third = small.remembers("3.mp4", NEW)
    with small.db.write() as session:
        same = FingerprintRow.clip_id.in_([first, second])
        session.execute(update(FingerprintRow).where(same).values(sha256="a" * 64))
    small.lists_anew(e_new=NEW)
    done = small.desk.reject(small.review("1.mp4").id, [], reason=WHY, by="alice")
    assert done.others == (small.review("2.mp4").id,)
    states = [small.review(f"{n}.mp4").state for n in (1, 2, 3)]
    assert states == ["rejected", "rejected", "open"]
    assert small.clip("2.mp4").outcome == "clean"
    with small.db.read() as session:
        said = entry_standing.said_of(session, third, "other", "a" * 64)
        assert said.rejected == {EntryName("partner", "e-new")}


def test_a_decision_holds_for_these_bytes_and_not_for_others_under_the_same_etag(small):
    review = one_frame(small)
    small.desk.reject(review, [], reason=WHY, by="alice")
    row = small.review("alice/clip.mp4")
    with small.db.read() as session:
        digest = digests_of(session, row.clip_id, row.etag)
        assert digest is not None
        ask: Callable[..., Any] = lambda *of: entry_standing.said_of(session, *of).rejected  # noqa: E731
        assert ask(row.clip_id, row.etag, digest.sha256)
        assert ask(row.clip_id, row.etag, None)
        assert ask(row.clip_id + 1, "another", digest.sha256)
        assert not ask(row.clip_id, row.etag, "b" * 64)
        assert not ask(row.clip_id, "another", None)


def test_promise_3_confirm_opens_a_case_with_its_leaves_in_one_transaction(office, monkeypatch):
    review = one_frame(office)
    before = len(office.leaves())

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(review_record, "settle", fails)
        with pytest.raises(RuntimeError):
            office.desk.confirm(review, office.archive.names, reason="", by="alice")
    assert (office.review("alice/clip.mp4").state, len(office.leaves())) == ("open", before)

    result = office.types("confirm", review)
    assert result.exception is None, result.output
    case = result.stdout.strip().rpartition(": ")[2]
    assert case == office.archive.names.case("alice/clip.mp4", office.clip("alice/clip.mp4").etag)
    row = office.review("alice/clip.mp4")
    assert (row.state, row.decided_by, row.reason) == ("confirmed", PERSON, None)
    assert office.clip("alice/clip.mp4").outcome == "matched"
    (leaf,) = office.leaves("review-confirmed")
    assert (leaf["case"], leaf["reason"]) == (case, None)
    assert [one["case"] for one in office.leaves("case-detected")] == [case]
    with office.db.read() as session:
        assert (
            session.get_one(CaseRow, case).sha256 == hashlib.sha256(b"alice/clip.mp4").hexdigest()
        )
        (decision,) = session.scalars(select(DecisionRow))
        assert (decision.right, decision.entry_id) == (True, "e-new")
        verify(session)


def test_a_confirmed_clip_goes_into_custody_by_the_next_run(small):
    review = one_frame(small)
    case = small.desk.confirm(review, small.archive.names, reason="", by="alice")
    small.archive.compare()
    assert not (small.archive.home / "clips" / "alice" / "clip.mp4").exists()
    with small.db.read() as session:
        assert session.get_one(CaseRow, case).state == "removed"


def test_a_clip_that_was_read_in_parts_is_digested_before_it_is_taken(small):
    review = one_frame(small)
    with small.db.write() as session:
        session.execute(update(FingerprintRow).values(md5=None, sha1=None, sha256=None))
    case = small.desk.confirm(review, small.archive.names, reason="", by="alice")
    with small.db.read() as session:
        row = session.get_one(CaseRow, case)
    assert row.sha256 == hashlib.sha256(b"alice/clip.mp4").hexdigest()
    assert row.size == len(b"alice/clip.mp4")


@pytest.mark.parametrize("whole", [True, False], ids=["read whole", "read in parts"])
@pytest.mark.parametrize("what", ["changed", "vanished"])
def test_of_a_clip_that_is_not_what_was_looked_at_nothing_is_decided(small, what, whole):
    review = one_frame(small)
    if not whole:
        with small.db.write() as session:
            session.execute(update(FingerprintRow).values(md5=None, sha1=None, sha256=None))
    file = small.archive.home / "clips" / "alice" / "clip.mp4"
    if what == "changed":
        file.write_bytes(b"another clip")
    else:
        file.unlink()
    with pytest.raises(ClipGone, match=what):
        small.desk.confirm(review, small.archive.names, reason="", by="alice")
    assert small.review("alice/clip.mp4").state == "gone"
    assert small.leaves("review-gone")[-1] == {"review": review, "why": what}
    with small.db.read() as session:
        assert session.scalars(select(DecisionRow)).all() == []
        assert session.scalars(select(CaseRow)).all() == []


def test_storage_that_fails_leaves_a_review_open(small):
    review = one_frame(small)
    (small.archive.home / "clips").rename(small.archive.home / "unmounted")
    with pytest.raises(StorageError):
        small.desk.confirm(review, small.archive.names, reason="", by="alice")
    assert small.review("alice/clip.mp4").state == "open"


def test_of_two_reviewers_at_once_one_decides_and_the_other_is_told(office):
    review = one_frame(office)
    barrier = Barrier(2)

    def decide(person: str) -> object:
        barrier.wait()
        try:
            if person == "alice":
                return office.desk.reject(review, [], reason=WHY, by=person)
            return office.desk.confirm(review, office.archive.names, reason="", by=person)
        except NotOpen as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(decide, ["alice", "bob"]))
    (told,) = [one for one in results if isinstance(one, NotOpen)]
    state = office.review("alice/clip.mp4").state
    assert state in ("rejected", "confirmed")
    assert state in told.message
    with office.db.read() as session:
        assert len(session.scalars(select(DecisionRow)).all()) == 1
        verify(session)


def test_a_review_is_gone_when_the_clip_is_matched_or_clean_or_another(small):
    review = one_frame(small)
    row = small.review("alice/clip.mp4")
    found = Match("partner", 2, "e-new", MatchKind.FRAMES, Action.QUARANTINE, 9, 0, 1, 1)
    looks = {
        "matched": (row.etag, Verdict(Outcome.MATCHED, None, 1.0, (found,))),
        "clean": (row.etag, Verdict(Outcome.CLEAN, None, 1.0)),
        "changed": ("another", Verdict(Outcome.UNSCANNABLE, Reason.DAMAGED, 0.0)),
        "vanished": (row.etag, Verdict(Outcome.UNSCANNABLE, Reason.VANISHED, 0.0)),
    }
    for why, look in looks.items():
        follow(small, *look)
        assert small.review("alice/clip.mp4").state == "gone"
        assert small.leaves("review-gone")[-1] == {"review": review, "why": why}
        follow(small, row.etag, Verdict(Outcome.REVIEW, None, 1.0, (found,)))
        assert small.review("alice/clip.mp4").state == "open"
    for reason in (Reason.STORAGE_ERROR, Reason.DAMAGED):
        follow(small, row.etag, Verdict(Outcome.UNSCANNABLE, reason, 0.0))
        assert small.review("alice/clip.mp4").state == "open"


def follow(office: Office, etag: str, verdict: Verdict) -> None:
    with office.db.write() as session:
        clip = session.scalars(select(ClipRow)).one()
        assert clip.scanned_run is not None
        review_record.follow(
            session, office.archive.names, clip, etag, verdict,
            sha256=None, run_id=clip.scanned_run, at=AT,
        )  # fmt: skip


def test_what_was_rejected_while_a_run_looked_at_the_clip_is_not_opened_again(small):
    review = one_frame(small)
    etag = small.review("alice/clip.mp4").etag
    found = Match("partner", 2, "e-new", MatchKind.FRAMES, Action.QUARANTINE, 9, 0, 1, 1)
    small.desk.reject(review, [], reason=WHY, by="alice")
    follow(small, etag, Verdict(Outcome.REVIEW, None, 1.0, (found,)))
    assert small.review("alice/clip.mp4").state == "rejected"
    assert small.clip("alice/clip.mp4").retry_at is not None


def test_promise_5_entries_are_flagged_then_demoted_and_act_again_when_trusted(office):
    """Distinct clips count; confirmations are set against rejections."""
    keys = [f"{number}.mp4" for number in range(8)]
    for key in keys:
        office.remembers(key, near(NEW, 20))
    office.lists_anew(e_new=NEW)
    reviews = [office.review(key).id for key in keys]
    office.desk.confirm(reviews.pop(), office.archive.names, reason="", by="alice")
    levels = []
    for review in reviews[:6]:
        office.desk.reject(review, [], reason=WHY, by="alice")
        levels.append([one["standing"] for one in office.reads("entries")])
    assert levels == [[], [], [], ["flagged"], ["flagged"], ["demoted"]]
    (flagged,), (demoted,) = office.leaves("entry-flagged"), office.leaves("entry-demoted")
    assert (flagged["rejected"], flagged["confirmed"], flagged["was"]) == (4, 1, "acts")
    assert (demoted["rejected"], demoted["confirmed"], demoted["was"]) == (6, 1, "flagged")

    # Two frames of it make a match, and a match of it only goes to review now.
    office.remembers("sure.mp4", near(NEW, 20, seed=2), near(NEW, 21, seed=3), known=False)
    office.remembers(
        "both.mp4", near(NEW, 9), near(NEW, 8), near(OTHER, 4), near(OTHER, 5), known=False
    )
    office.archive.activate(
        "partner", {"e-old": [OLD], "e-new": [near(NEW, 2)], "e-other": [OTHER]}
    )
    summary = office.archive.compare()
    assert office.clip("sure.mp4").outcome == "review"
    assert office.clip("both.mp4").outcome == "matched"
    assert [alarm for alarm in summary.alarms if "partner/e-new" in alarm]
    assert summary.reviews_open == 2
    result = office.types("trust", "partner", "e-new", "--reason", "corrected by the partner")
    assert result.exception is None, result.output
    assert office.reads("entries") == []
    assert office.leaves("entry-trusted")[-1]["was"] == "demoted"
    office.remembers("later.mp4", near(NEW, 9), near(NEW, 8), known=False)
    office.lists_anew(e_new=near(NEW, 3), e_other=OTHER)
    assert office.clip("later.mp4").outcome == "matched"
    assert office.clip("sure.mp4").outcome == "matched"
    again = office.types("trust", "partner", "e-new", "--reason", WHY)
    assert isinstance(again.exception, NothingToLift)


def test_other_settings_are_heard_at_the_next_run_and_are_on_the_record(small):
    review = one_frame(small)
    small.desk.reject(review, [], reason=WHY, by="alice")
    for rules, kind in (
        (Review(flag_after=1), "entry-flagged"),
        (Review(demote_after=1), "entry-demoted"),
        (Review(), "entry-cleared"),
    ):
        settings = small.archive.settings.model_copy(update={"review": rules})
        small.archive.job = replace(small.archive.job, settings=settings)
        small.archive.settings = settings
        small.archive.compare()
        assert len(small.leaves(kind)) == 1


def test_a_released_case_is_a_rejection_of_all_its_matches(small):
    clip_id = small.remembers("clip.mp4", NEW, near(NEW, 3), known=False)
    small.archive.compare()
    with small.db.write() as session:
        clip = session.get_one(ClipRow, clip_id)
        wrong = [Finding("partner", 1, "e-new", "A1"), Finding("partner", 1, "e-old", None)]
        ended = review_record.reject(
            session, clip, clip.etag, "c" * 64, wrong, of="case-x", by="alice", reason=WHY,
            rules=Review(flag_after=1), at=AT,
        )  # fmt: skip
    assert ended == []
    assert small.leaves("matches-rejected")[-1]["of"] == "case-x"
    assert {one["entry"] for one in small.reads("entries")} == {"e-new", "e-old"}
    small.lists_anew(e_new=NEW)
    assert small.clip("clip.mp4").outcome == "matched"  # other bytes than those of the case
    with small.db.read() as session:
        assert entry_standing.said_of(session, 0, "", "c" * 64).rejected


def many(office: Office) -> dict[str, str]:
    """Three clips with a match on one entry, the last on another one too: key -> review."""
    for key, *frames in (("1.mp4", NEW), ("2.mp4", NEW), ("3.mp4", NEW, OTHER)):
        office.remembers(key, *frames)
    office.lists_anew(e_new=NEW, e_other=OTHER)
    return {key: office.review(key).id for key in ("1.mp4", "2.mp4", "3.mp4")}


def test_promise_3_several_reviews_are_rejected_each_with_its_leaf(small):
    reviews = many(small)
    first, second, third = reviews.values()
    result = small.types("reject", first, second, first, "review-x", third, "--reason", WHY)
    assert isinstance(result.exception, review_record.NotAllDecided)
    assert result.exception.message.startswith("1 review of 4 could not be decided")
    assert "There is no review review-x" in result.output
    assert {small.review(key).state for key in reviews} == {"rejected"}
    leaves = small.leaves("review-rejected")
    assert [leaf["review"] for leaf in leaves] == [first, second, third]


def test_an_entry_is_rejected_in_all_open_reviews_that_have_it(small):
    reviews = many(small)
    result = small.types("reject", "--entry", "partner/e-new", "--reason", WHY)
    assert result.exception is None, result.output
    assert f"{reviews['3.mp4']} stays open: 1 match is to be decided." in result.output
    assert [small.review(key).state for key in reviews] == ["rejected", "rejected", "open"]
    again = small.types("reject", "--entry", "partner/e-new", "--reason", WHY)
    assert isinstance(again.exception, NoneOpen)
    for words in (["reject", "--reason", WHY], ["confirm"], ["confirm", "r", "--entry", "a/b"]):
        assert small.types(*words).exit_code == 2


def test_promise_3_several_reviews_are_confirmed_each_with_its_case(small, monkeypatch):
    """By an entry only those in which nothing else is left to be decided."""
    monkeypatch.setattr(App, "names", small.archive.names)
    reviews = many(small)
    result = small.types("confirm", "--entry", "partner/e-new", "--reason", WHY)
    assert result.exception is None, result.output
    assert f"{reviews['3.mp4']} stays open: it has matches on other entries too" in result.output
    assert [small.review(key).state for key in reviews] == ["confirmed", "confirmed", "open"]
    leaves = small.leaves("review-confirmed")
    assert {leaf["review"] for leaf in leaves} == {reviews["1.mp4"], reviews["2.mp4"]}
    assert len({leaf["case"] for leaf in leaves}) == 2
    (small.archive.home / "clips" / "3.mp4").unlink()
    result = small.types("confirm", *reviews.values())
    assert isinstance(result.exception, review_record.NotAllDecided)
    assert "3 reviews of 3" in result.exception.message
    assert small.review("3.mp4").state == "gone"


@pytest.mark.parametrize("command", ["show", "confirm", "reject"])
@pytest.mark.parametrize("name", ["review-x", "", "../../etc", "'; drop table review; --"])
def test_a_review_that_is_not_there_is_a_clear_error(small, command, name):
    more = ["--reason", WHY] if command == "reject" else []
    result = (
        small.types(command, "--", name) if not more else small.types(command, *more, "--", name)
    )
    assert isinstance(result.exception, NoSuchReview)
    assert result.exception.exit_code == 26


def test_what_was_decided_is_not_decided_again(small):
    review = one_frame(small)
    small.types("reject", review, "--reason", WHY)
    for words in (["reject", review, "--reason", WHY], ["confirm", review]):
        result = small.types(*words)
        assert isinstance(result.exception, NotOpen)
        assert "rejected" in result.exception.message


@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "a" * 32, f"it is {NEW.hex()}"])
def test_a_reason_that_cannot_be_recorded_is_refused(small, reason):
    review = one_frame(small)
    result = small.types("reject", review, "--reason", reason)
    assert isinstance(result.exception, ReasonRefused)
    assert NEW.hex() not in result.exception.message
    assert small.review("alice/clip.mp4").state == "open"


@pytest.mark.parametrize("entry", ["e-new", "/e-new", "partner/"])
def test_an_entry_is_named_with_its_list(small, entry):
    result = small.types("reject", "review-x", "--entry", entry, "--reason", WHY)
    assert result.exit_code == 2
    assert "LIST/ENTRY" in result.output


@pytest.mark.parametrize(
    ("words", "roles"),
    [
        (["list"], set(Role)),
        (["entries"], set(Role)),
        (["show", "review-x"], {Role.REVIEWER, Role.CUSTODIAN}),
        (["confirm", "review-x"], {Role.REVIEWER, Role.CUSTODIAN}),
        (["confirm", "--entry", "partner/e"], {Role.REVIEWER, Role.CUSTODIAN}),
        (["reject", "--entry", "partner/e", "--reason", WHY], {Role.REVIEWER, Role.CUSTODIAN}),
        (["reject", "review-x", "--reason", WHY], {Role.REVIEWER, Role.CUSTODIAN}),
        (["trust", "partner", "e", "--reason", WHY], {Role.OPERATOR}),
        (["export", "--out", "/nowhere/x"], {Role.OPERATOR, Role.REVIEWER, Role.CUSTODIAN}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_each_command_takes_its_role(small, words, roles):
    for role in Role:
        others = {f"HASHMATCH_PEOPLE__{one.name}S": '["somebody"]' for one in Role if one != role}
        mine = {f"HASHMATCH_PEOPLE__{role.name}S": json.dumps([PERSON])}
        result = small.types(*words, **others, **mine)
        assert isinstance(result.exception, RoleMissing) == (role not in roles)


def decided(
    office: Office, *findings: Finding, right: bool = False, clip: str = "clip.mp4"
) -> None:
    clip_id = office.remembers(clip)
    with office.db.write() as session:
        row = session.get_one(ClipRow, clip_id)
        for found in findings:
            session.add(
                DecisionRow(
                    list_name=found.list, version=found.version, entry_id=found.entry,
                    classification=found.classification, clip_id=row.id, etag=row.etag,
                    sha256=None, right=right, by="alice", at=AT, reason=WHY,
                )
            )  # fmt: skip


def test_the_partner_gets_entries_and_counts_and_nothing_of_a_clip(office):
    office.desk.reject(one_frame(office), [], reason=WHY, by="alice")
    for key in ("1.mp4", "2.mp4"):
        decided(office, Finding("partner", 1, "e-new", "A1"), clip=key)
    decided(office, Finding("partner", 1, "e-right", "A1"), right=True, clip="right.mp4")
    decided(office, Finding("partner", 1, "e-new", "A1"), right=True, clip="right too.mp4")
    out = office.archive.home / "feedback.csv"
    result = office.types("export", "--list", "partner", "--out", str(out))
    assert result.exception is None, result.output
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    text = out.read_text()
    (row,) = csv.DictReader(text.splitlines())
    today = datetime.now(UTC).date().isoformat()
    days = {row.pop("first"), row.pop("last")}
    assert days == {"2026-11-22", today}
    assert row == {
        "list": "partner", "version": "1", "entry": "e-new", "category": "A1", "rejected": "3",
        "confirmed": "1", "standing": "acts",
    }  # fmt: skip
    for secret in ("mp4", WHY, "alice", NEW.hex()):
        assert secret not in text
    leaf = office.leaves("review-exported")[-1]
    assert (leaf["list"], leaf["entries"]) == ("partner", 1)


def test_an_export_overwrites_nothing_and_is_not_on_record_if_it_was_not_written(small):
    out = small.archive.home / "feedback.csv"
    out.write_text("somebody's")
    missing = small.archive.home / "missing" / "feedback.csv"
    for file in (out, missing):
        result = small.types("export", "--out", str(file))
        assert isinstance(result.exception, OutputRefused)
    assert out.read_text() == "somebody's"
    assert small.leaves("review-exported") == []
    new = small.archive.home / "new.csv"
    unknown = small.types("export", "--list", "nobody", "--out", str(new))
    assert isinstance(unknown.exception, ListUnknown)
    assert not new.exists()


@pytest.mark.parametrize("entry", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", 'a",b', "a\nb"])
def test_no_cell_of_an_export_is_a_formula(small, entry):
    decided(small, Finding("partner", 1, entry, "=A1"))
    out = small.archive.home / "feedback.csv"
    small.types("export", "--out", str(out))
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["category"] == "'=A1"
    assert row["entry"].removeprefix("'") == entry
    assert row["entry"][0] not in "=+-@\t\r"
    as_json = small.archive.home / "feedback.json"
    small.types("export", "--format", "json", "--out", str(as_json))
    assert json.loads(as_json.read_text())[0]["entry"] == entry


def test_renditions_and_copies_of_a_file_count_as_one_clip(sqlite_db):
    clips = [("a/360", "a", "1"), ("a/720", "a", "2"), ("b", None, "3"), ("copy of b", None, "3")]
    clips += [("c", None, None), ("d", None, None)]
    with sqlite_db.write() as session:
        session.add(ListRow(name="partner", created_at=AT))
        for key, of, sha256 in clips:
            row = ClipRow(key=key, etag="e", size=1, modified=AT, attempts=0, rendition_of=of)
            session.add(row)
            session.flush()
            session.add(
                DecisionRow(
                    list_name="partner", version=1, entry_id="e", clip_id=row.id, etag="e",
                    sha256=sha256, right=False, by="alice", at=AT, reason=WHY,
                )
            )  # fmt: skip
        session.flush()
        (tally,) = entry_standing.tallies(session).values()
    assert (tally.rejected, tally.confirmed) == (4, 0)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=40),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_the_newest_decision_on_each_clip_counts_for_an_entry(decisions, flag, demote):
    """Against a model of two lines."""
    newest = {(entry, clip): right for entry, clip, right in decisions}
    for entry in range(4):
        mine = [right for (name, _), right in newest.items() if name == entry]
        tally = entry_standing.Tally(mine.count(False), mine.count(True))
        excess = sum(1 if not right else -1 for right in mine)
        level = tally.level(Review(flag_after=flag, demote_after=demote))
        if excess >= demote:
            assert level is Level.DEMOTED
        else:
            assert (level is Level.FLAGGED) == (excess >= flag)


@pytest.mark.parametrize(
    "command", ["list", "show", "confirm", "reject", "entries", "trust", "export"]
)
def test_every_command_has_help_with_an_example(command):
    result = CliRunner().invoke(cli, ["review", command, "--help"])
    assert result.exit_code == 0
    assert f"hashmatch review {command}" in result.output
