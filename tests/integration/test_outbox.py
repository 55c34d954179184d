"""The outbox: what the platform is to be told, kept with what caused it, on both databases."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from platform_parts import AT, ETAG, KEY, SHA256, Cases, cases

from hashmatch.custody.notify import outbox
from hashmatch.custody.notify.channel import Reply, Status
from hashmatch.custody.notify.outbox import Kind
from hashmatch.db.schema import CaseRow, ClipRow, OutboxRow

__all__ = ["cases"]


def note(cases: Cases, message: str, reply: Reply) -> OutboxRow:
    with cases.db.write() as session:
        return outbox.note(session, message, "webhook", reply, AT, AT + timedelta(seconds=1))


def unanswered(cases: Cases) -> list[str]:
    with cases.db.read() as session:
        kinds = (outbox.unanswered(session, kind) for kind in outbox.Kind)
        return [message for each in kinds for _, message in each]


def test_a_withdrawal_says_which_clip_to_disable_and_to_purge_and_nothing_of_why(cases: Cases):
    message = cases.put(cases.open())
    body = cases.row(message).body
    assert json.loads(body) == {
        "type": "clip.withdraw",
        "timestamp": "2026-11-22T21:04:05.678901Z",
        "data": {
            "case": "case-a",
            "clip": {"key": KEY, "id": "c-1234", "etag": ETAG},
            "do": ["disable", "purge"],
        },
    }
    assert SHA256 not in body


def test_a_release_says_which_clip_to_enable(cases: Cases):
    message = cases.put(cases.open(), Kind.RESTORED)
    said = json.loads(cases.row(message).body)
    assert (said["type"], said["data"]["do"]) == ("clip.restored", ["enable"])


def test_the_same_thing_is_put_once_and_keeps_its_id_and_bytes(cases: Cases):
    case = cases.open()
    message = cases.put(case)
    body = cases.row(message).body
    assert cases.put(case, at=AT + timedelta(days=1)) == message
    assert cases.row(message).body == body
    assert len(cases.leaves("platform-message")) == 1


@pytest.mark.parametrize(
    "change", [{"detected_at": AT + timedelta(days=30)}, {"vault_key": "aa/case-a.2.age"}]
)
def test_a_case_that_is_opened_again_asks_again(cases: Cases, change):
    case = cases.open()
    first = cases.put(case)
    cases.reopen(case, **change)
    assert cases.put(case) != first
    assert unanswered(cases) == sorted(unanswered(cases), key=lambda one: cases.row(one).created_at)
    assert len(unanswered(cases)) == 2


def test_other_cases_and_the_contrary_are_other_messages(cases: Cases):
    one, other = cases.open(), cases.open("case-b", etag="v2")
    ids = {cases.put(one), cases.put(other), cases.put(one, Kind.RESTORED)}
    assert len(ids) == 3
    assert all(len(message) <= 40 and "." not in message for message in ids)


def test_what_is_to_be_said_is_on_the_log_without_the_clip(cases: Cases):
    message = cases.put(cases.open())
    assert cases.leaves("platform-message") == [
        {
            "case": "case-a",
            "message": message,
            "says": "clip.withdraw",
            "do": ["disable", "purge"],
        }
    ]
    assert "somebody" not in cases.log()
    assert ETAG not in cases.log()


def test_nothing_is_asked_when_what_caused_it_is_not_committed(cases: Cases):
    case = cases.open()
    with pytest.raises(RuntimeError), cases.db.write() as session:
        row = session.get_one(CaseRow, case)
        outbox.put(session, Kind.WITHDRAW, row, session.get_one(ClipRow, row.clip_id), AT)
        raise RuntimeError
    assert unanswered(cases) == []
    assert cases.leaves() == []


def test_what_is_not_known_here_is_not_said(cases: Cases):
    with pytest.raises(ValueError, match="clip\\.explode"):
        cases.put(cases.open(), "clip.explode")


def test_a_release_overtakes_its_own_withdrawal_that_was_not_answered(cases: Cases):
    one, other = cases.open(), cases.open("case-b", etag="v2")
    withdrawn, kept = cases.put(one), cases.put(other)
    restored = cases.put(one, Kind.RESTORED)
    assert set(unanswered(cases)) == {kept, restored}
    assert cases.row(withdrawn).answer == {"status": "overtaken", "by": restored}
    assert cases.leaves("platform-overtaken") == [
        {"case": "case-a", "message": withdrawn, "by": restored}
    ]


def test_a_withdrawal_overtakes_the_release_of_any_version_of_the_clip(cases: Cases):
    one, other = cases.open(), cases.open("case-b", etag="v2")
    elsewhere = cases.put(cases.open("case-c", key="other.mp4"), Kind.RESTORED)
    restored = cases.put(one, Kind.RESTORED)
    withdrawn = cases.put(other)
    assert set(unanswered(cases)) == {elsewhere, withdrawn}
    assert cases.row(restored).answer["by"] == withdrawn


def test_what_was_answered_is_not_overtaken(cases: Cases):
    case = cases.open()
    withdrawn = cases.put(case)
    note(cases, withdrawn, Reply(Status.DONE, 200))
    cases.put(case, Kind.RESTORED)
    assert cases.row(withdrawn).answer["status"] == "done"


def test_an_attempt_that_comes_back_late_does_not_change_what_was_overtaken(cases: Cases):
    case = cases.open()
    withdrawn = cases.put(case)
    cases.put(case, Kind.RESTORED)
    row = note(cases, withdrawn, Reply(Status.DONE, 200))
    assert row.answer["status"] == "overtaken"
    assert cases.leaves("platform-answered") == []


def test_each_new_answer_has_a_leaf_and_silence_has_none(cases: Cases):
    message = cases.put(cases.open())
    for reply in (
        Reply(Status.NO_ANSWER, problem="cannot be reached"),
        Reply(Status.NO_ANSWER, 503, "answers 503"),
        Reply(Status.REFUSED, 422, "answers 422", "what it said"),
        Reply(Status.REFUSED, 422, "answers 422", "what it said now"),
        Reply(Status.PENDING, 202, "not done yet"),
        Reply(Status.PENDING, 202, "not done yet"),
        Reply(Status.DONE, 200, detail="what it said at last"),
    ):
        note(cases, message, reply)
    told = [
        (leaf["status"], leaf["code"], leaf["attempts"])
        for leaf in cases.leaves("platform-answered")
    ]
    assert told == [("refused", 422, 3), ("pending", 202, 5), ("done", 200, 7)]
    assert "what it said" not in cases.log()
    row = cases.row(message)
    assert (row.attempts, row.answered_at, row.next_at, row.problem) == (7, AT, None, None)
    assert row.answer["detail"] == "what it said at last"
