"""The vault's marker: an object that says which vault this is, named on the audit log.

    place(db, vault.store, now(), by="ann")     # `hashmatch init` does, and the first run after an upgrade
    refuse_another(db, vault.store)             # before anything is sealed, removed or destroyed

A folder whose disk is not mounted is an empty folder: whatever is sealed into it vanishes from sight
with the next mount, and what was sealed before looks erased. So the marker must be there, and with
it the sealed copy of the case that was taken last: an old snapshot has the marker, too.

An installation that has no marker yet gets one only where what it took last is found.
"""

from __future__ import annotations

import json
import re
import secrets
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit_person
from hashmatch.clips.store import ObjectExists, ObjectNotFound, Store
from hashmatch.custody.case_record import KEPT, State
from hashmatch.custody.intents import Step
from hashmatch.custody.vault.store import VaultFailed, failed
from hashmatch.db.schema import CaseRow, CaseStepRow
from hashmatch.db.session import Database
from hashmatch.errors import StorageError
from hashmatch.model import Json

MARKER = "hashmatch.vault"

_KIND = "vault-marked"
_TEXT = "This is the vault of a hashmatch installation. It takes nothing where this file is missing.\n{}\n"
_NAME = re.compile(rb"vault-[0-9a-f]{32}")
_MOST_BYTES = 4096


class VaultAway(VaultFailed):
    message = "The vault {url} is not the one that was used before: {problem}. Is it mounted?"
    remedy = (
        "Nothing is sealed, removed or destroyed until it is there. Mount it, or correct "
        "vault.url. If it was moved or restored on purpose, copy all of the former vault into it "
        "and run `hashmatch init`. If what is missing is lost for good, `hashmatch init "
        "--accept-lost-vault` goes on without it."
    )


class _Known(NamedTuple):
    """name: of the vault that the log names, if it does. case, place: what was taken last."""

    name: str | None
    case: str | None
    place: str


def place(
    db: Database, store: Store, at: datetime, *, by: str | None = None, accept_lost: bool = False
) -> bool:
    """Mark the vault, unless it is marked as the log says. Returns whether anything was done.

    by: the person who does it; only they mark again a vault whose marker is gone. accept_lost: what
    is missing counts as lost, and is asked for no more. Raises VaultAway, VaultFailed.
    """
    with db.read() as session:
        known = _known(session, besides=None)
    name = _read(store)
    if not accept_lost:
        if known.name is not None and by is None:
            _refuse_marker(store, known.name, name)
        _refuse_missing(store, known)
        if name is not None and name == known.name:
            return False
    name = name or _write(store, known.name or f"vault-{secrets.token_hex(16)}")
    body: dict[str, Json] = {"vault": name}
    with db.write() as session:
        if by is not None:
            body["by"] = commit_person(session, by)
        if accept_lost:
            body["lost"] = True
        elif _known(session, besides=None).name == name:
            return True
        log.append(session, _KIND, body, at)
    return True


def refuse_another(db: Database, store: Store, *, besides: str | None = None) -> str | None:
    """The name of the vault, None if it has none yet. Changes nothing.

    besides: a case whose own copy need not be there. Raises VaultAway, VaultFailed.
    """
    known = _marked(db, store, besides)
    _refuse_missing(store, known)
    return known.name


def refuse_unmarked(db: Database, store: Store) -> None:
    """As `refuse_another`, by the marker alone: for who looks which copies are missing."""
    _marked(db, store, None)


def _marked(db: Database, store: Store, besides: str | None) -> _Known:
    with db.read() as session:
        known = _known(session, besides)
    if known.name is not None:
        _refuse_marker(store, known.name, _read(store))
    return known


def _known(session: Session, besides: str | None) -> _Known:
    leaves = log.last_leaves(session, 1, _KIND)
    said = json.loads(leaves[0].body)["body"] if leaves else {}
    # A copy that somebody is about to erase may be gone already.
    erasing = select(CaseStepRow.case_id).where(
        CaseStepRow.step == Step.DESTROY, CaseStepRow.ended_at.is_(None)
    )
    newest = (
        select(CaseRow.id, CaseRow.vault_key)
        .where(
            # While the original is there, a copy that is gone is sealed anew.
            CaseRow.state.in_((*KEPT, State.RELEASED)),
            CaseRow.verified_at.is_not(None),
            CaseRow.id.not_in(erasing),
        )
        .order_by(CaseRow.verified_at.desc(), CaseRow.id)
        .limit(1)
    )
    if said.get("lost"):
        newest = newest.where(CaseRow.verified_at > leaves[0].at)
    if besides is not None:
        newest = newest.where(CaseRow.id != besides)
    found = session.execute(newest).one_or_none()
    case, place = (None, "") if found is None else (found.id, found.vault_key)
    return _Known(said.get("vault"), case, place)


def _refuse_marker(store: Store, expected: str, found: str | None) -> None:
    if found is None:
        raise VaultAway(url=store.url, problem=f"its marker, {MARKER}, is not there")
    if found != expected:
        raise VaultAway(url=store.url, problem=f"its marker, {MARKER}, is that of another vault")


def _refuse_missing(store: Store, known: _Known) -> None:
    if known.case is None:
        return
    try:
        store.head(known.place)
    except ObjectNotFound:
        problem = f"the sealed copy of {known.case}, the last that was taken, is not there"
        raise VaultAway(url=store.url, problem=problem) from None
    except StorageError as error:
        raise failed(error) from error


def _write(store: Store, name: str) -> str:
    """Write the marker; returns the name in it, which is another one if somebody was faster."""
    try:
        store.write(MARKER, [_TEXT.format(name).encode()])
    except ObjectExists:
        found = _read(store)
        if found is None:
            problem = f"its marker, {MARKER}, has no name in it"
            raise VaultAway(url=store.url, problem=problem) from None
        return found
    except StorageError as error:
        raise failed(error) from error
    return name


def _read(store: Store) -> str | None:
    """The name in the marker; None if there is no marker, or nothing of ours in it."""
    content = b""
    try:
        for chunk in store.read(MARKER):
            content += chunk
            if len(content) > _MOST_BYTES:
                return None
    except ObjectNotFound:
        return None
    except StorageError as error:
        raise failed(error) from error
    found = _NAME.search(content)
    return None if found is None else found[0].decode()
