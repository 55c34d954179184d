"""What clips are compared with, by name, and what of it is new to a clip that was compared before.

    state = ListState.of(compiled, settings)
    clip.list_set == state.id                      # nothing to do
    fresh = fresh_lists(session, state, ids)       # what to stream the archive against

The state behind each id is kept in the table `list_set`, so that a later run can tell what has been
added since. Only what can add a match to a clip is new:

| what changed | what is new |
|---|---|
| a list was activated | all of it |
| another version of it | the entries that the old version did not have, or not with all these hashes |
| an entry was enabled again | that entry |
| a list's distance was raised, its action became stricter, it asks for turned copies | all of that list |
| a clip's state is unknown, or another rule or recipe holds | everything |
| entries or lists are gone, a distance was lowered, an action became milder | nothing |

What is gone takes nothing back: what is on record of a clip stays until the clip is looked at again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hashmatch.config import Settings
from hashmatch.db.schema import ListSetRow, ListVersionRow
from hashmatch.hashing.recipes import recipe
from hashmatch.lists.active import ActiveVersion, active_list, origin
from hashmatch.lists.catalog import VersionUnknown, get_version
from hashmatch.lists.compiled.building import Compiled
from hashmatch.lists.differences import new_or_changed
from hashmatch.matching.list_input import ActiveList
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import RULES
from hashmatch.model import Action, Orientations
from hashmatch.scanning import canary

# Entries of which an index is made for one run (half a gigabyte or so of memory); above it, or when
# it is more than half of all, the archive is streamed against the compiled lists, which are mapped.
MOST_ENTRIES = 1_000_000

_STRICTNESS = {Action.LOG: 0, Action.REVIEW: 1, Action.QUARANTINE: 2}
# Which say how a run treats its matches, not what matches.
_NO_RULES = {"breaker_clips", "breaker_share"}


@dataclass(frozen=True, slots=True)
class ListState:
    """One state of the lists and of the rules. `state`: all that decides what a clip matches."""

    id: str
    state: Mapping[str, Any]
    compiled: Compiled

    @classmethod
    def of(cls, compiled: Compiled, settings: Settings) -> ListState:
        state = {
            "lists": {version.name: _described(version) for version in compiled.acting},
            "rules": {
                "version": RULES,
                "recipes": {name.value: recipe(name) for name in compiled.perceptual},
                "min_coverage": settings.decode.min_coverage,
                **settings.match.model_dump(mode="json", exclude=_NO_RULES),
            },
        }
        told = json.dumps(state, sort_keys=True).encode()
        return cls(hashlib.sha256(told).hexdigest(), state, compiled)

    def remember(self, session: Session, at: datetime) -> None:
        if session.get(ListSetRow, self.id) is None:
            session.add(ListSetRow(id=self.id, made_at=at, state=dict(self.state)))


def fresh_lists(
    session: Session, listed: ListState, known: Collection[str | None]
) -> ListSet | None:
    """What is new to clips that were compared with these states of the lists, by `list_set.id`.

    None if nothing is. May hold more than what is new, never less.
    """
    fresh = _Fresh(listed.compiled.acting)
    for id in known:
        row = session.get(ListSetRow, id) if id is not None else None
        fresh.add(session, row.state if row is not None else {}, listed.state)
    if fresh.nothing:
        return None
    if fresh.most_of_all:
        return listed.compiled.lists
    return ListSet.build([*fresh.lists(session), canary.active_list()])


class _Fresh:
    """The new entries of each list that acts, collected from one old state after the other."""

    def __init__(self, acting: tuple[ActiveVersion, ...]) -> None:
        self._acting = acting
        self._entries: dict[str, set[str]] = {version.name: set() for version in acting}
        self._whole: set[str] = set()
        self._seen: set[str] = set()

    @property
    def nothing(self) -> bool:
        return not self._whole and not any(self._entries.values())

    @property
    def most_of_all(self) -> bool:
        count = sum(
            one.entries if one.name in self._whole else len(self._entries[one.name])
            for one in self._acting
        )
        return count > min(MOST_ENTRIES, sum(one.entries for one in self._acting) // 2)

    def lists(self, session: Session) -> Iterator[ActiveList]:
        for version in self._acting:
            if version.name in self._whole:
                yield active_list(session, version)
            elif entries := self._entries[version.name]:
                yield active_list(session, version, entries)

    def add(self, session: Session, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        if not old or _looser(old["rules"], new["rules"]):
            self._whole.update(self._entries)
            return
        for version in self._acting:
            before = old["lists"].get(version.name)
            # Many old states differ in one list only: the others are compared once.
            told = json.dumps([version.name, before, old["rules"]["distance"]], sort_keys=True)
            if version.name in self._whole or told in self._seen:
                continue
            self._seen.add(told)
            self._compare(session, version, before, old, new)

    def _compare(
        self,
        session: Session,
        version: ActiveVersion,
        before: Mapping[str, Any] | None,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
    ) -> None:
        name, now = version.name, new["lists"][version.name]
        if before is None or _stricter(before, old["rules"], now, new["rules"]):
            self._whole.add(name)
            return
        self._entries[name].update(set(before["disabled"]) - set(version.disabled))
        if _files(before) == _files(now):
            return
        row = _version(session, name, before["version"])
        imported = _version(session, name, version.version)
        if row is None or imported is None or _as_imported(row, origin(row)) != _files(before):
            self._whole.add(name)  # the database was restored from an older state
            return
        most = min(MOST_ENTRIES, version.entries // 2)
        found = new_or_changed(session, row, imported, most + 1)
        if len(found) > most:
            self._whole.add(name)
        else:
            self._entries[name].update(found)


def _version(session: Session, name: str, version: int) -> ListVersionRow | None:
    try:
        return get_version(session, name, version)
    except VersionUnknown:
        return None


def _described(version: ActiveVersion) -> dict[str, Any]:
    return {
        **_as_imported(version, version.origin),
        "action": version.action.value,
        "distance": version.distance,
        "orientations": version.orientations.value,
        "disabled": list(version.disabled),
    }


def _as_imported(version: ActiveVersion | ListVersionRow, origin: str) -> dict[str, Any]:
    """What tells an imported version from any other of its name."""
    at = version.imported_at
    return {"version": version.version, "origin": origin, "imported_at": at.isoformat()}


def _files(described: Mapping[str, Any]) -> dict[str, Any]:
    return {name: described[name] for name in ("version", "origin", "imported_at")}


def _looser(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether other clips can match or be clean by the new rules, the lists being the same.

    The distance is each list's (`_stricter`); to ask for more frames makes no clip match.
    """
    if new["min_frames"] < old["min_frames"]:
        return True
    # Of an algorithm that no list had before, all that is listed is new anyway.
    made = {name: how for name, how in old["recipes"].items() if name in new["recipes"]}
    if any(new["recipes"][name] != how for name, how in made.items()):
        return True
    apart = {"distance", "min_frames", "recipes"}
    return any(old.get(name) != new.get(name) for name in {*old, *new} - apart)


def _stricter(
    before: Mapping[str, Any],
    rules_before: Mapping[str, Any],
    now: Mapping[str, Any],
    rules: Mapping[str, Any],
) -> bool:
    """Whether a list may match more, or do more about it, than it did before."""
    if _STRICTNESS[Action(now["action"])] > _STRICTNESS[Action(before["action"])]:
        return True
    asks, asked = (Orientations(one["orientations"]) for one in (now, before))
    if asks is Orientations.ALL and asked is not Orientations.ALL:
        return True
    # Hashes of 64 bits go by the configured distance, whatever the list's.
    if rules["distance"] > rules_before["distance"]:
        return True
    return _distance(now, rules) > _distance(before, rules_before)


def _distance(described: Mapping[str, Any], rules: Mapping[str, Any]) -> int:
    own = described["distance"]
    return int(rules["distance"] if own is None else own)
