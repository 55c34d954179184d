"""Retention rules: which files are refused, and when a clock ends."""

from __future__ import annotations

import calendar
import contextlib
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashmatch import config
from hashmatch.custody.retention.rules import (
    NOT_REVIEWED,
    Keeps,
    Length,
    RetentionWrong,
    Starts,
    applying,
    chosen,
    clocks,
    parse,
)
from hashmatch.db.schema import CaseRow

RULE = {
    "jurisdiction": "XX",
    "name": "xx-content",
    "keeps": "content",
    "clock": "report",
    "length": "1 year",
    "source": "a law",
    "counsel": "not reviewed",
}
FIRST, LATE = datetime(1970, 1, 1), datetime(2900, 1, 1)
moments = st.datetimes(FIRST, LATE, timezones=st.just(UTC))
lengths = st.one_of(
    st.builds(Length, st.integers(1, 36_525), st.just("day")),
    st.builds(Length, st.integers(1, 1200), st.just("month")),
    st.builds(Length, st.integers(1, 100), st.just("year")),
)


def toml(*rules: dict[str, object]) -> str:
    lines = []
    for rule in rules:
        lines.append("[[rule]]")
        for name, value in rule.items():
            shown = value if not isinstance(value, str) else '"' + value.replace('"', '\\"') + '"'
            lines.append(f"{name} = {shown}")
    return "\n".join(lines)


def refused(text: str) -> str:
    with pytest.raises(RetentionWrong) as caught:
        parse(text, "rules.toml")
    assert "rules.toml" in caught.value.message
    assert caught.value.remedy
    return caught.value.message


def settings(tmp_path, text: str) -> config.Settings:
    (tmp_path / "hashmatch.toml").write_text(text)
    return config.load(tmp_path / "hashmatch.toml")


def test_the_rules_that_come_with_hashmatch_say_what_the_laws_say(tmp_path):
    rules = applying(settings(tmp_path, '[custody]\njurisdictions = ["US", "UK", "CA"]'))
    said = {(r.jurisdiction, r.keeps.value, r.clock.value, str(r.length)) for r in rules}
    assert said == {
        ("US", "content", "report", "1 year"),
        ("UK", "content", "report", "1 year"),
        ("UK", "reference", "report", "5 years"),
        ("CA", "content", "report", "21 days"),
    }
    assert all(rule.source for rule in rules)
    assert {rule.counsel for rule in rules} == {NOT_REVIEWED}


def test_only_the_jurisdictions_in_the_settings_apply(tmp_path):
    assert {r.name for r in applying(settings(tmp_path, '[custody]\njurisdictions = ["UK"]'))} == {
        "uk-content",
        "uk-reference",
    }
    assert applying(settings(tmp_path, "")) == ()


def test_an_operators_own_rules_take_the_place_of_the_others(tmp_path):
    (tmp_path / "own.toml").write_text(toml(RULE))
    own = settings(tmp_path, '[custody]\nretention = "own.toml"\njurisdictions = ["XX"]')
    assert [rule.name for rule in applying(own)] == ["xx-content"]
    with pytest.raises(RetentionWrong, match="no rule is of 'US'"):
        applying(
            settings(tmp_path, '[custody]\nretention = "own.toml"\njurisdictions = ["XX", "US"]')
        )


@pytest.mark.parametrize(
    ("name", "hint"), [("us", "did you mean US"), ("Atlantis", "they have CA, UK, US"), ("", "")]
)
def test_an_unknown_jurisdiction_in_the_settings_is_refused(tmp_path, name, hint):
    with pytest.raises(RetentionWrong, match="which the settings name") as caught:
        applying(settings(tmp_path, f'[custody]\njurisdictions = ["UK", "{name}"]'))
    assert hint in caught.value.message


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for name, content in (("missing.toml", None), ("folder", None), ("latin.toml", b"# \xe9")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        if name == "folder":
            (tmp_path / name).mkdir()
        with pytest.raises(RetentionWrong, match=name):
            applying(settings(tmp_path, f'[custody]\nretention = "{name}"'))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clock": "upload"}, "clock is detection or report, not 'upload'"),
        ({"keeps": "everything"}, "keeps is content or reference"),
        ({"length": "0 days"}, "zero"),
        ({"length": "-1 year"}, "length is written like"),
        ({"length": "1.5 years"}, "length is written like"),
        ({"length": "1 fortnight"}, "length is written like"),
        ({"length": "year"}, "length is written like"),
        ({"length": "٣ days"}, "length is written like"),
        ({"length": "1 year "}, "length is written like"),
        ({"length": "101 years"}, "over 100 years"),
        ({"length": "1201 months"}, "over 100 years"),
        ({"length": "36526 days"}, "over 100 years"),
        ({"length": "9999999999 days"}, "length is written like"),
        ({"length": 365}, "length must be text"),
        ({"length": [1]}, "length must be text"),
        ({"source": ""}, "source must be text"),
        ({"source": " "}, "source must be text"),
        ({"source": None}, "source is missing"),
        ({"counsel": None}, "counsel is missing"),
        ({"jurisdiction": None}, "jurisdiction is missing"),
        ({"jurisdiction": "X" * 201}, "jurisdiction is longer"),
        ({"lenght": "1 year"}, "'lenght' is not known; length?"),
        ({"keeps": "reference"}, "no rule of 'XX' says how long its content is kept"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(change, problem):
    rule = {name: value for name, value in {**RULE, **change}.items() if value is not None}
    message = refused(toml(rule))
    assert problem in message
    assert "rule 1 ('xx-content')" in message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has no [[rule]]"),
        ("rule = []", "it has no [[rule]]"),
        ("rule = 3", "it has no [[rule]]"),
        ("rule = [3]", "it is no table"),
        ("[rule]\nname = 'a'", "it has no [[rule]]"),
        ("[[rules]]\nname = 'a'", "'rules' means nothing here"),
        ("[[rule]", "not TOML"),
        ("rule = " + "[" * 5000, "not TOML"),
        (toml(RULE, RULE), "rule 2 ('xx-content'): another rule has this name"),
        (toml({**RULE, "name": 3}), "rule 1: name must be text"),
        (
            toml({**RULE, "length": "2 years"}, {**RULE, "name": "ref", "keeps": "reference"}),
            "rule 2 ('ref'): it keeps the reference for less time than 'xx-content'",
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(text, problem):
    assert problem in refused(text)


def assert_taken_or_refused(text: str) -> None:
    with contextlib.suppress(RetentionWrong):
        assert parse(text, "rules.toml")


@given(st.text())
def test_any_text_is_either_rules_or_a_clear_error(text):
    assert_taken_or_refused(text)


fields = st.sampled_from([*RULE, "more"])
values = st.one_of(
    st.text(st.characters(exclude_characters='"\\', min_codepoint=32, codec="utf-8"), max_size=12),
    st.integers(-3, 3),
    st.sampled_from(["content", "reference", "detection", "report", "3 days", "0 years"]),
)


@given(st.lists(st.dictionaries(fields, values), max_size=3))
def test_any_rule_is_either_taken_as_it_is_written_or_a_clear_error(changes):
    tables = [{**RULE, "name": f"rule-{n}", **change} for n, change in enumerate(changes)]
    try:
        rules = parse(toml(*tables), "rules.toml")
    except RetentionWrong:
        return
    for rule, table in zip(rules, tables, strict=True):
        assert (rule.name, rule.jurisdiction, rule.keeps, rule.clock) == (
            table["name"],
            table["jurisdiction"],
            table["keeps"],
            table["clock"],
        )
        assert 1 <= rule.length.count <= 36_525


@given(lengths)
def test_a_length_is_read_as_it_is_shown(length):
    assert parse(toml({**RULE, "length": str(length)}), "rules.toml")[0].length == length


def last_day(end: datetime) -> date:
    """The last day that counts, which is over at noon UTC of the next one."""
    assert (end.hour, end.minute, end.second, end.microsecond) == (12, 0, 0, 0)
    assert end.utcoffset() == timedelta(0)
    return end.date() - timedelta(days=1)


@pytest.mark.parametrize(
    ("start", "length", "last"),
    [
        ("2026-03-01", "21 days", "2026-03-22"),
        ("2025-11-22", "1 year", "2026-11-22"),
        ("2024-02-29", "1 year", "2025-03-01"),
        ("2024-02-29", "4 years", "2028-02-29"),
        ("2023-02-28", "1 year", "2024-02-28"),
        ("2026-01-31", "1 month", "2026-03-01"),
        ("2024-01-30", "1 month", "2024-03-01"),
        ("2026-08-31", "6 months", "2027-03-01"),
        ("2026-10-31", "1 month", "2026-12-01"),
        ("2026-12-31", "1 day", "2027-01-01"),
        ("2026-11-30", "1 month", "2026-12-30"),
        ("1900-06-01", "100 years", "2000-06-01"),
    ],
)
def test_months_end_years_leap_and_no_clock_ends_early(start, length, last):
    rule = parse(toml({**RULE, "length": length}), "rules.toml")[0]
    end = rule.length.after(datetime.fromisoformat(f"{start}T09:00:00+00:00"))
    assert last_day(end) == date.fromisoformat(last)


@given(moments, lengths)
@example(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), Length(1, "year"))
def test_a_clock_never_ends_before_its_time_is_over(start, length):
    days = {"day": 1, "month": 28, "year": 365}[length.unit] * length.count
    assert length.after(start) - start > timedelta(days=days)


@given(moments, lengths, st.integers(-12 * 4, 14 * 4))
@example(datetime(2023, 2, 28, 23, 30, tzinfo=UTC), Length(1, "year"), 4)
def test_the_last_day_is_over_wherever_it_is_counted(start, length, quarters):
    """As a law counts: the day after the local day it starts on is the first."""
    there = timezone(timedelta(minutes=15 * quarters))
    day = start.astimezone(there).date()
    if length.unit == "day":
        last = day + timedelta(days=length.count)
    else:
        months = length.count * (12 if length.unit == "year" else 1)
        year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
        last = date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
    over = datetime(last.year, last.month, last.day, tzinfo=there) + timedelta(days=1)
    assert over <= length.after(start) < over + timedelta(days=3.6)


@given(moments, moments, lengths)
def test_what_starts_later_never_ends_earlier(one, other, length):
    first, second = sorted((one, other))
    assert length.after(first) <= length.after(second)


@given(moments, st.integers(1, 1199))
def test_a_longer_time_never_ends_earlier(start, count):
    for unit, most in (("day", 36_525), ("month", 1200), ("year", 100)):
        if count < most:
            shorter, longer = Length(count, unit), Length(count + 1, unit)
            assert shorter.after(start) <= longer.after(start)


@given(moments, lengths, st.integers(-12, 14))
def test_the_same_moment_ends_alike_whatever_zone_it_is_written_in(start, length, hours):
    there = start.astimezone(timezone(timedelta(hours=hours)))
    assert length.after(there) == length.after(start)


def test_a_clock_that_runs_from_the_report_has_not_started_without_one():
    rules = parse(toml(RULE, {**RULE, "name": "two", "clock": "detection"}), "rules.toml")
    detected = datetime(2026, 1, 1, tzinfo=UTC)
    row = CaseRow(detected_at=detected, reported_at=None)
    by_report, by_detection = clocks(rules, row)
    assert (by_report.start, by_report.end) == (None, None)
    assert not by_report.ended(datetime(9000, 1, 1, tzinfo=UTC))
    assert by_detection.start == detected
    row.reported_at = detected - timedelta(days=1)  # of an earlier life of the case
    assert clocks(rules, row)[0].start is None
    row.reported_at = detected + timedelta(days=2)
    [first, _] = clocks(rules, row)
    assert first.start == row.reported_at
    assert first.end is not None
    assert not first.ended(first.end - timedelta(microseconds=1))
    assert first.ended(first.end)


def test_a_repeated_jurisdiction_counts_once():
    rules = parse(toml(RULE), "rules.toml")
    assert chosen(rules, ["XX", "XX"], "rules.toml") == rules


def test_the_values_of_the_file_are_those_the_docstrings_name():
    assert set(Keeps) == {"content", "reference"}
    assert set(Starts) == {"detection", "report"}
