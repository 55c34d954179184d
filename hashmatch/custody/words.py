"""Words: what people write into the record of a case, why they did something or what it is called.

They are kept in the database, and leaves only commit to them (`audit.commitments`), so that they can
be erased with the case.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commit
from hashmatch.errors import CustodyError
from hashmatch.freetext import problem_with


class WordsWrong(CustodyError):
    message = "Case {case}: the {kind} cannot be recorded: {problem}."
    remedy = "It is kept with the case and shown to people. Say it in a few words, in one line."


def checked(kind: str, text: str, case_id: str) -> str:
    """The text without space around it, fit to be kept and shown. Raises WordsWrong.

    kind: `reason`, which may hold no hash, or `reference`, which may well look like one.
    """
    text = text.strip()
    problem = problem_with(text, may_be_hash=kind == "reference")
    if problem is not None:
        raise WordsWrong(case=case_id, kind=kind, problem=problem)
    return text


def said(session: Session, kind: str, text: str, case_id: str) -> str:
    """The commitment to a text, which is forgotten with its case."""
    return commit(session, kind, text, subject=case_id)
