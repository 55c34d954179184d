"""Rows become entries: the rows of one id are one entry, those of one group are one video.

    entries = Assembler(names)
    placed = entries.place(row)         # raises BadRow for a row that contradicts earlier ones

Rows of an id need not be neighbours. Of each entry only a few bytes are kept beside its id, so a
million of them take about 250 MB.

The same id with different algorithms is one entry with several hashes. The same id and algorithm
twice is refused outside a video: one of the two would otherwise replace the other. A list says what
an entry is (`media`); where it does not, digests alone are a file, picture hashes an image.

An entry has a keyed name if its list gives it no id or one that holds a hash: ids are printed,
hashes never. The partner's own id is then kept with the entry (`extra`), in the database only.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hashmatch.audit.names import KeyedNames
from hashmatch.freetext import hashlike
from hashmatch.lists.formats.rows import BadRow, Fault, Row
from hashmatch.model import Algorithm, Media

_MEDIA = tuple(Media)
_BIT = {algorithm: 1 << i for i, algorithm in enumerate(Algorithm)}
_FRAMES = sum(_BIT[algorithm] for algorithm in Algorithm if algorithm.perceptual)
_KEYED = re.compile(r"entry-[a-z2-7]{16}")


class Placed(NamedTuple):
    """Where a row belongs. number: its entry's, from 0. The rest is of new entries only."""

    number: int
    new: bool
    id: str
    media: Media
    classification: str | None
    extra: dict[str, str] | None


@dataclass
class Amendment:
    """What later rows of an entry added to what its first row said."""

    id: str | None = None
    media: Media | None = None
    classification: str | None = None

    def changes(self) -> dict[str, str]:
        """By the names that the columns of an entry have."""
        values = {"entry_id": self.id, "media": self.media, "classification": self.classification}
        return {column: value for column, value in values.items() if value is not None}


def safe_id(id: str, names: KeyedNames) -> str:
    """The name of an entry whose list calls it `id`, unless that id holds one of its own hashes."""
    if hashlike(id) or _KEYED.fullmatch(id):
        return names.entry("id", id.lower().encode())
    return id


class Assembler:
    """unnamed, renamed: how many entries have a keyed name because their list gives them no id, or
    one that holds a hash.
    """

    def __init__(self, names: KeyedNames) -> None:
        self.unnamed = 0
        self.renamed = 0
        self._names = names
        self._index: dict[str, int] = {}
        self._algorithms = array("B")
        self._media = array("B")
        self._stated = array("B")
        self._classes = array("L")
        self._known_classes: dict[str | None, int] = {None: 0}
        self._blank: dict[str, str] = {}
        self._amended: dict[int, Amendment] = {}

    def __len__(self) -> int:
        return len(self._media)

    def place(self, row: Row) -> Placed:
        """The entry that a row belongs to. Raises BadRow."""
        given = row.group if row.group is not None else row.id
        key = _key(row, given)
        index = self._index.get(key)
        if index is None:
            return self._new(row, key, given)
        self._check(row, given, index)
        media = self._merged_media(row, index)
        self._algorithms[index] |= _BIT[row.algorithm]
        if media is not _MEDIA[self._media[index]]:
            self._media[index] = _MEDIA.index(media)
            self._amend(index).media = media
        if row.classification is not None and not self._classes[index]:
            self._classes[index] = self._class(row.classification)
            self._amend(index).classification = row.classification
        if given is not None and self._holds_own_hash(row, given):
            amended = self._amend(index)
            # Ids that hold 32 digits in a row were given another name with their first row.
            self.renamed += amended.id is None and safe_id(given, self._names) == given
            amended.id = self._names.entry("id", given.lower().encode())
        return Placed(index, False, "", media, None, None)

    def blank(self, group: str, where: str) -> None:
        """A video had a featureless frame there; it may never have another."""
        if (key := _name_key(group)) not in self._index:
            self._blank.setdefault(key, where)

    def blank_videos(self) -> Iterator[str]:
        """Where each video begins that had featureless frames only."""
        return (where for key, where in self._blank.items() if key not in self._index)

    def amendments(self) -> Iterator[tuple[int, Amendment]]:
        return iter(self._amended.items())

    def _new(self, row: Row, key: str, given: str | None) -> Placed:
        extra = row.extra
        if given is None:
            id = self._names.entry(row.algorithm.value, row.bits)
            self.unnamed += 1
        else:
            id = safe_id(given, self._names)
            if id == given and self._holds_own_hash(row, given):
                id = self._names.entry("id", given.lower().encode())
            if id != given:
                self.renamed += 1
                extra = {**(extra or {}), "entry_id": given}
        media = row.media or _inferred(row)
        index = len(self._media)
        self._index[key] = index
        self._algorithms.append(_BIT[row.algorithm])
        self._media.append(_MEDIA.index(media))
        self._stated.append(row.media is not None or row.group is not None)
        self._classes.append(self._class(row.classification))
        return Placed(index, True, id, media, row.classification, extra)

    def _check(self, row: Row, given: str | None, index: int) -> None:
        if row.group is None and self._algorithms[index] & _BIT[row.algorithm]:
            raise BadRow(Fault.REPEATED if given is None else Fault.DUPLICATE)
        known = self._classes[index]
        if row.classification is not None and known and known != self._class(row.classification):
            raise BadRow(Fault.CONFLICT)

    def _merged_media(self, row: Row, index: int) -> Media:
        """What the entry is, now that it has this row too. Raises BadRow."""
        now = _MEDIA[self._media[index]]
        stated = row.media if row.group is None else Media.VIDEO
        if self._stated[index]:
            agrees = stated in (None, now)
            if row.algorithm.perceptual and row.group is None:
                agrees = agrees and now is Media.IMAGE
            if not agrees:
                raise BadRow(Fault.CONFLICT)
            return now
        if stated is not None:
            if self._algorithms[index] & _FRAMES and stated is not Media.IMAGE:
                raise BadRow(Fault.CONFLICT)
            self._stated[index] = True
            return stated
        return Media.IMAGE if row.algorithm.perceptual else now

    def _holds_own_hash(self, row: Row, given: str) -> bool:
        return len(given) >= 16 and row.bits.hex() in given.lower()

    def _amend(self, index: int) -> Amendment:
        return self._amended.setdefault(index, Amendment())

    def _class(self, text: str | None) -> int:
        return self._known_classes.setdefault(text, len(self._known_classes))


def _key(row: Row, given: str | None) -> str:
    if given is None:
        return f"\0{row.algorithm}\0{row.bits.decode('latin-1')}"
    return _name_key(given)


def _name_key(given: str) -> str:
    # Names are keyed without case, so ids that are hashes are compared without it too.
    return given.lower() if hashlike(given) else given


def _inferred(row: Row) -> Media:
    if row.group is not None:
        return Media.VIDEO
    return Media.IMAGE if row.algorithm.perceptual else Media.FILE
