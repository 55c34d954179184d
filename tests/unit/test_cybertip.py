"""A report draft: NCMEC's elements in their order, nothing that is not known, well-formed whatever."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.report.cybertip import APPARENT, Facts, Matched, draft_of

AT = datetime(2026, 11, 22, 21, 4, 5, 678901, tzinfo=UTC)
VIEWED = datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC)

MATCH = Matched("ncmec", 7, "entry-17", "sequence", "A1", 1.25, 14.5)
FACTS = Facts(
    case="case-7hq2k6w4v3mzdpbe",
    file_name="4711.mp4",
    size=700_000,
    created=AT,
    detected=VIEWED,
    platform_id="c-4711",
    channel="somebody",
    visibility="public",
    viewed=None,
    matches=(MATCH,),
    renditions=(),
    software="hashmatch 0",
)

# As roostorg/coop read them from the schema (its fieldCoverage test), <report>, <reporter> and the
# person as two other clients read them in appendix B.
DOCUMENTED = {
    "report": "batchedReport incidentSummary internetDetails lawEnforcement reporter "
    "personOrUserReported intendedRecipient victim additionalInfo",
    "incidentSummary": "incidentType platform escalateToHighPriority reportAnnotations "
    "incidentDateTime incidentDateTimeDescription",
    "internetDetails": "webPageIncident emailIncident newsgroupIncident chatImIncident "
    "onlineGamingIncident cellPhoneIncident nonInternetIncident peer2peerIncident",
    "webPageIncident": "url additionalInfo",
    "reporter": "reportingPerson contactPerson companyTemplate termsOfService legalURL",
    "reportingPerson": "firstName lastName phone email address age ageAssertionDiscrepancy dateOfBirth",
    "fileDetails": "reportId fileId fileName originalFileName uploadedToEspTimestamp locationOfFile "
    "fileViewedByEsp exifViewedByEsp publiclyAvailable fileRelevance fileAnnotations "
    "industryClassification originalFileHash ipCaptureEvent deviceId details additionalInfo",
}

anything = st.text(max_size=60)
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1))
matches = st.builds(
    Matched,
    list=anything,
    version=st.integers(1, 10**6),
    entry=anything,
    kind=st.sampled_from(["file", "frames", "sequence"]),
    classification=st.none() | anything | st.sampled_from(["A1", "b2 ", "A2"]),
    start=st.floats(0, 1e5),
    end=st.floats(0, 1e5),
)
facts = st.builds(
    Facts,
    case=st.from_regex(r"\Acase-[a-z2-7]{16}\Z"),
    file_name=st.none() | anything | st.text(min_size=2000, max_size=4000),
    size=st.integers(0, 2**62),
    created=st.none() | moments,
    detected=moments,
    platform_id=st.none() | anything,
    channel=st.none() | anything,
    visibility=st.none() | st.text(max_size=32) | st.sampled_from(["public", "PRIVATE"]),
    viewed=st.none() | moments,
    matches=st.lists(matches, max_size=4),
    renditions=st.lists(st.from_regex(r"\Acase-[a-z2-7]{16}\Z"), max_size=3),
    software=anything,
)


def parsed(xml: bytes) -> ET.Element:
    return ET.fromstring(xml, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))


def names(element: ET.Element) -> list[str]:
    """Children in order: elements, and the blanks that stand for them as comments."""
    found = []
    for child in element:
        if child.tag is not ET.Comment:
            found.append(child.tag)
        elif blank := re.match(r" (\w+): to fill in: ", child.text):
            found.append(blank[1])
    return found


def every(element: ET.Element):
    yield element
    for child in element:
        if child.tag is not ET.Comment:
            yield from every(child)


def leaves(tree: dict[str, Any]):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield name, value


def field(facts: Facts, name: str) -> str | None:
    found = parsed(draft_of(facts).file_xml()).find(name)
    return None if found is None else found.text


@given(facts)
def test_elements_are_in_the_documented_order_whatever_is_known(facts):
    draft = draft_of(facts)
    for root in (parsed(draft.report_xml()), parsed(draft.file_xml())):
        assert root.tag in DOCUMENTED
        for element in every(root):
            if element.tag in DOCUMENTED:
                order = DOCUMENTED[element.tag].split()
                places = [order.index(name) for name in names(element)]
                assert places == sorted(places)
                assert places


@given(facts)
def test_any_text_makes_a_well_formed_document_that_reads_back(facts):
    draft = draft_of(facts)
    for tree, xml in ((draft.report, draft.report_xml()), (draft.file, draft.file_xml())):
        written = {
            element.tag: element.text or "" for element in every(parsed(xml)) if not list(element)
        }
        told = {name: value for name, value in leaves(tree) if isinstance(value, str)}
        assert written == told
    assert json.loads(json.dumps(draft.as_json(), ensure_ascii=False)) == draft.as_json()
    json.dumps(draft.as_json(), ensure_ascii=False).encode()


@given(facts)
def test_that_a_person_viewed_the_file_is_said_only_if_one_did(facts):
    draft = draft_of(facts)
    said = draft.file["fileViewedByEsp"]
    assert said == ("true" if facts.viewed else "false")
    assert draft.file["exifViewedByEsp"] == "false"
    assert ("records no opening" in str(draft.file["additionalInfo"])) == (facts.viewed is None)


@given(facts)
def test_every_blank_is_listed_and_nothing_else(facts):
    draft = draft_of(facts)
    listed = {blank["where"] for blank in draft.to_fill()}
    as_json = draft.as_json()
    empty = {where for root in ("report", "fileDetails") for where in _nulls(root, as_json[root])}
    assert listed == empty
    assert {"report/reporter/reportingPerson/email", "fileDetails/reportId"} <= listed


def _nulls(where: str, tree: dict[str, Any]):
    for name, value in tree.items():
        if value is None:
            yield f"{where}/{name}"
        elif isinstance(value, dict):
            yield from _nulls(f"{where}/{name}", value)


def test_a_required_blank_is_an_empty_element_and_another_one_a_comment() -> None:
    draft = draft_of(replace(FACTS, matches=()))
    report, file = parsed(draft.report_xml()), parsed(draft.file_xml())
    for element in (
        report.find("incidentSummary/incidentType"),
        report.find("reporter/reportingPerson/email"),
        file.find("reportId"),
        file.find("fileId"),
    ):
        assert element is not None
        assert not (element.text or "").strip()
    for path in ("personOrUserReported", "internetDetails/webPageIncident/url", "lawEnforcement"):
        assert report.find(path) is None
    assert file.find("locationOfFile") is None


def test_what_is_known_is_said() -> None:
    draft = draft_of(FACTS)
    report = parsed(draft.report_xml())
    assert report.findtext("incidentSummary/incidentType") == APPARENT
    assert report.findtext("incidentSummary/incidentDateTime") == "2026-11-22T21:04:05Z"
    assert "Reference: case-7hq2k6w4v3mzdpbe." in report.findtext("additionalInfo")
    assert field(FACTS, "originalFileName") == "4711.mp4"
    assert field(FACTS, "industryClassification") == "A1"
    about = field(FACTS, "additionalInfo")
    assert (
        "Matched by perceptual hash: list ncmec, version 7, entry entry-17, category A1, 1.2 to 14.5 s."
        in about
    )
    assert "Channel: somebody." in about


def test_a_match_of_the_whole_file_has_no_seconds() -> None:
    about = field(replace(FACTS, matches=(replace(MATCH, kind="file"),)), "additionalInfo")
    assert "Matched by its digest: list ncmec, version 7, entry entry-17, category A1." in about


def test_without_its_time_of_creation_the_time_of_detection_is_called_that() -> None:
    report = parsed(draft_of(replace(FACTS, created=None)).report_xml())
    assert report.findtext("incidentSummary/incidentDateTime") == "2026-11-23T09:00:00Z"
    assert "detected" in report.findtext("incidentSummary/incidentDateTimeDescription")


@pytest.mark.parametrize(
    ("visibility", "said"),
    [("public", "true"), ("Private", "false"), ("unlisted", None), ("", None), (None, None)],
)
def test_whether_it_was_public_is_said_only_if_it_is_known(visibility, said) -> None:
    assert field(replace(FACTS, visibility=visibility), "publiclyAvailable") == said


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["A1"], "A1"),
        ([" b2 "], "B2"),
        (["A1", "A1", None], "A1"),
        (["A1", "B1"], None),
        (["A3"], None),
        (["Category A"], None),
        ([None], None),
        ([], None),
    ],
)
def test_a_class_is_given_only_if_the_lists_give_one(classes, said) -> None:
    matched = tuple(replace(MATCH, classification=one) for one in classes)
    assert field(replace(FACTS, matches=matched), "industryClassification") == said


def test_a_viewing_is_to_be_checked_by_a_person() -> None:
    draft = draft_of(replace(FACTS, viewed=VIEWED))
    assert any("viewed its entire contents" in one for one in draft.to_check)
    assert "opened the file on 2026-11-23T09:00:00Z" in str(draft.file["additionalInfo"])


def test_what_xml_cannot_hold_leaves_a_mark() -> None:
    name = "a\0b\x1bc\ud800d\ufffee\rf<g>&\"h'--]]>i.mp4"
    assert field(replace(FACTS, file_name=name), "originalFileName") == (
        "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf<g>&\"h'--]]>i.mp4"
    )


def test_a_name_is_no_longer_than_ncmec_takes() -> None:
    assert len(field(replace(FACTS, file_name="x" * 3000), "originalFileName")) == 2056


def test_a_name_with_a_digest_in_it_is_left_for_a_person() -> None:
    draft = draft_of(replace(FACTS, file_name=None))
    assert parsed(draft.file_xml()).find("originalFileName") is None
    assert "fileDetails/originalFileName" in {one["where"] for one in draft.to_fill()}
