"""A draft of a CyberTipline report: what is known of a case, in NCMEC's fields and their order.

    draft = draft_of(facts)
    draft.as_json()                       # everything, and what a person has to fill in and check
    draft.report_xml()                    # <report>, as POST /submit takes it
    draft.file_xml()                      # <fileDetails>, as POST /fileinfo takes it

Nothing is sent. What this software cannot know is left blank: a field that NCMEC requires is an empty
element, which its schema refuses until somebody fills it in; any other is a comment in its place.
There is no hash in a draft. The file's own digest may be a listed one, and NCMEC makes its own of
what is uploaded.

Source: CyberTipline Reporting API, https://report.cybertip.org/ispws/documentation, appendices B
(<report>) and C (<fileDetails>). Its schema (GET /xsd) is not public. The order of elements was
checked against readings of that schema and documentation in roostorg/coop (the orders its tests
hold its reports to) and in two clients that others wrote; they differ on fields that are not used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias
from xml.etree import ElementTree as ET

SCHEMA = "https://report.cybertip.org/ispws/xsd"
APPARENT = "Child Pornography (possession, manufacture, and distribution)"
CLASSIFICATIONS = ("A1", "A2", "B1", "B2")
MOST_NAME = 2056

_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
# What XML 1.0 cannot hold, and the carriage return, which every parser turns into something else.
_UNWRITABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARK = "\ufffd"


@dataclass(frozen=True, slots=True)
class Matched:
    """One match, as far as a report may say it. start, end: seconds in the clip."""

    list: str
    version: int
    entry: str
    kind: str
    classification: str | None
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What is on record of a case, without any digest. None: not known.

    viewed: when the log says that a custodian opened the file, for the first time; None: never.
    """

    case: str
    file_name: str | None
    size: int
    created: datetime | None
    detected: datetime
    platform_id: str | None
    channel: str | None
    visibility: str | None
    viewed: datetime | None
    matches: Sequence[Matched]
    renditions: Sequence[str]
    software: str


@dataclass(frozen=True, slots=True)
class Blank:
    """A field for a person to fill in. required: NCMEC takes no report without it."""

    what: str
    required: bool = False


Tree: TypeAlias = "str | Blank | Mapping[str, Tree]"


class Draft(NamedTuple):
    """A report's two documents as trees, in the order of their elements."""

    report: Mapping[str, Tree]
    file: Mapping[str, Tree]
    to_check: Sequence[str]

    def to_fill(self) -> list[dict[str, Any]]:
        """What a person has to fill in: where, what, and whether NCMEC requires it."""
        blanks = [*_blanks("report", self.report), *_blanks("fileDetails", self.file)]
        return [
            {"where": where, "what": blank.what, "required": blank.required}
            for where, blank in blanks
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "what": "a draft of a CyberTipline report; nothing was sent",
            "to_fill": self.to_fill(),
            "to_check": list(self.to_check),
            "report": _plain(self.report),
            "fileDetails": _plain(self.file),
        }

    def report_xml(self) -> bytes:
        return _document("report", self.report)

    def file_xml(self) -> bytes:
        return _document("fileDetails", self.file)


def draft_of(facts: Facts) -> Draft:
    """The draft. Every text in it can be written as XML 1.0: what cannot is U+FFFD."""
    report: dict[str, Tree] = {
        "incidentSummary": _summary(facts),
        "internetDetails": {
            "webPageIncident": {"url": Blank("where users could see the clip, as they saw it")}
        },
        "lawEnforcement": Blank("only if police or a court is already involved"),
        "reporter": {
            "reportingPerson": {
                "firstName": Blank("of the person who reports"),
                "lastName": Blank("of the person who reports"),
                "email": Blank("where NCMEC reaches the person who reports", required=True),
            },
            "contactPerson": Blank("whom police may contact, if somebody else"),
            "legalURL": Blank("where your instructions for legal process are"),
        },
        "personOrUserReported": Blank(
            "who made the clip: espIdentifier, screenName, ipCaptureEvent … from your own records"
        ),
        "intendedRecipient": Blank("if there is one"),
        "victim": Blank("if somebody is known"),
        "additionalInfo": "\n".join(_about_report(facts)),
    }
    file: dict[str, Tree] = {
        "reportId": Blank("what NCMEC answers to the report", required=True),
        "fileId": Blank("what NCMEC answers to the upload of the file", required=True),
        "originalFileName": _name(facts),
        "locationOfFile": Blank("the URL at which the file was"),
        "fileViewedByEsp": _truth(facts.viewed is not None),
        "exifViewedByEsp": "false",
        "publiclyAvailable": _public(facts.visibility),
        "fileRelevance": "Reported",
        "fileAnnotations": Blank("only what a person saw: infant, liveStreaming, generativeAi …"),
        "industryClassification": _classification(facts),
        "originalFileHash": Blank(
            "if you want to give one: of the opened file. NCMEC makes its own of the upload"
        ),
        "ipCaptureEvent": Blank("from where the file was uploaded, from your own records"),
        "additionalInfo": "\n".join(_about_file(facts)),
    }
    return Draft(report, file, tuple(_checks(facts)))


def _summary(facts: Facts) -> dict[str, Tree]:
    made = facts.created is not None
    known = any(_class_of(match) is not None for match in facts.matches)
    kinds = f"as NCMEC names it, for example: {APPARENT}"
    return {
        "incidentType": APPARENT if known else Blank(kinds, required=True),
        "platform": Blank("the part of your service it was on"),
        "escalateToHighPriority": Blank("only if a child is in danger now, and why"),
        "incidentDateTime": _time(facts.created or facts.detected),
        "incidentDateTimeDescription": (
            "When the clip was created, by the platform's record."
            if made
            else "When the match was detected. When the clip was created is not on record here."
        ),
    }


def _about_report(facts: Facts) -> Iterator[str]:
    yield f"Reference: {_writable(facts.case)}."
    yield (
        "An automated comparison of perceptual hashes and file digests with vetted hash lists "
        f"({_writable(facts.software)}) found this file on {_time(facts.detected)}."
    )
    if facts.renditions:
        others = ", ".join(map(_writable, facts.renditions))
        yield f"The same clip at other heights: {others}."


def _about_file(facts: Facts) -> Iterator[str]:
    for match in facts.matches:
        by = "by its digest" if match.kind == "file" else "by perceptual hash"
        where = "" if match.kind == "file" else f", {match.start:.1f} to {match.end:.1f} s"
        category = f", category {match.classification}" if match.classification else ""
        entry = f"list {match.list}, version {match.version}, entry {match.entry}{category}"
        yield _writable(f"Matched {by}: {entry}{where}.")
    yield f"Size: {facts.size} bytes."
    if facts.platform_id is not None:
        yield f"The platform's id of the clip: {_writable(facts.platform_id)}."
    if facts.channel is not None:
        yield f"Channel: {_writable(facts.channel)}."
    if facts.viewed is None:
        yield "The log of this system records no opening of the file by a person."
    else:
        yield f"The log of this system records that a person opened the file on {_time(facts.viewed)}."


def _checks(facts: Facts) -> Iterator[str]:
    yield "originalFileName is the last part of the key in clip storage, not what a user called it"
    yield "every field, before you send it: a report is yours, and nothing was sent"
    if facts.viewed is not None:
        yield (
            "fileViewedByEsp is true because the log has an opening of the file: say so only if the "
            "person viewed its entire contents"
        )
    if facts.renditions:
        yield "the other heights of the clip have drafts of their own; their files belong to one report"


def _name(facts: Facts) -> Tree:
    if facts.file_name is None:
        return Blank(
            "the file's name; its key in clip storage has a digest in it, which is left out"
        )
    name = _writable(facts.file_name)
    return name if len(name) <= MOST_NAME else name[: MOST_NAME - 1] + _MARK


def _public(visibility: str | None) -> Tree:
    known = {"public": True, "private": False}.get((visibility or "").casefold())
    if known is None:
        return Blank("true or false: whether any user could see all of it")
    return _truth(known)


def _classification(facts: Facts) -> Tree:
    found = sorted({one for match in facts.matches if (one := _class_of(match)) is not None})
    if len(found) == 1:
        return found[0]
    if found:
        return Blank(f"one of A1, A2, B1, B2; the matched entries have {' and '.join(found)}")
    return Blank("one of A1, A2, B1, B2; the matched entries have none of them")


def _class_of(match: Matched) -> str | None:
    named = (match.classification or "").strip().upper()
    return named if named in CLASSIFICATIONS else None


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _writable(text: str) -> str:
    return _UNWRITABLE.sub(_MARK, text)


def _blanks(where: str, tree: Mapping[str, Tree]) -> Iterator[tuple[str, Blank]]:
    for name, value in tree.items():
        if isinstance(value, Blank):
            yield f"{where}/{name}", value
        elif not isinstance(value, str):
            yield from _blanks(f"{where}/{name}", value)


def _plain(tree: Mapping[str, Tree]) -> dict[str, Any]:
    """As JSON has it: texts, objects, and null where a person has to fill something in."""
    return {
        name: None
        if isinstance(value, Blank)
        else value
        if isinstance(value, str)
        else _plain(value)
        for name, value in tree.items()
    }


def _document(name: str, tree: Mapping[str, Tree]) -> bytes:
    root = ET.Element(name, {f"{{{_INSTANCE}}}noNamespaceSchemaLocation": SCHEMA})
    ET.register_namespace("xsi", _INSTANCE)
    root.append(ET.Comment(" a draft: nothing was sent "))
    _fill(root, tree)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _fill(parent: ET.Element, tree: Mapping[str, Tree]) -> None:
    for name, value in tree.items():
        if isinstance(value, Blank) and not value.required:
            parent.append(ET.Comment(f" {name}: to fill in: {value.what} "))
            continue
        child = ET.SubElement(parent, name)
        if isinstance(value, Blank):
            child.append(ET.Comment(f" to fill in: {value.what} "))
        elif isinstance(value, str):
            child.text = value
        else:
            _fill(child, value)
