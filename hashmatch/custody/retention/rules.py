"""Retention: how long the law wants a case kept. The rules are data, `retention.toml`.

    rules = applying(settings)                     # those of [custody] jurisdictions
    for clock in clocks(rules, row):
        clock.rule.name, clock.start, clock.end, clock.ended(now)

A clock that ends deletes nothing: it only lets two people ask for it (`custody.approvals`). A rule
that makes no sense is refused with everything else in its file: a length nobody understood would
otherwise be no length. Whether a rule is the law for somebody, only their counsel knows.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from importlib.resources import files
from typing import Any

from hashmatch.config import Settings
from hashmatch.custody.disposition import reported_at
from hashmatch.db.schema import CaseRow
from hashmatch.errors import ConfigError

NOT_REVIEWED = "not reviewed"
LONGEST_YEARS = 100
# A law's day is a day somewhere. Today's date comes first east (UTC+14) and ends last west (UTC−12).
_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)

_SHIPPED = files("hashmatch.custody.retention") / "retention.toml"
_LENGTH = re.compile(r"([0-9]{1,6}) (day|month|year)s?")
_MOST = {"day": 36_525, "month": 12 * LONGEST_YEARS, "year": LONGEST_YEARS}
_LONGEST_TEXT = 200


class RetentionWrong(ConfigError):
    message = "Retention rules {source}, {rule}: {problem}"
    remedy = (
        "No run starts and nothing is destroyed until that is right. Write it as the rules that "
        "come with hashmatch are written, in hashmatch/custody/retention/retention.toml."
    )


class NoJurisdiction(ConfigError):
    message = "[custody] jurisdictions is empty, so nothing says how long a case must be kept."
    remedy = (
        "Nothing may be destroyed or forgotten until it names yours: US, UK, CA, or what your own "
        "[custody] retention names. Ask your counsel."
    )


class Keeps(StrEnum):
    """The sealed clip, or what the database says of it."""

    CONTENT = "content"
    REFERENCE = "reference"


class Starts(StrEnum):
    """When a clock starts: when the clip matched, or when a report to the authority was noted."""

    DETECTION = "detection"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Length:
    """A whole number of days, months or years, at least one, at most a hundred years."""

    count: int
    unit: str

    def after(self, start: datetime) -> datetime:
        """When it is over, in UTC: never early, whatever the month's length or the place's zone.

        The day it starts in is not counted ("21 days after the day on which …"), the last day
        counts whole: from the latest date that it is anywhere at the start, until that of the end
        is over everywhere, at most two and a half days more. A year from 29 February, or a month
        from the 31st, ends with the first of the month that follows.
        """
        day = (start.astimezone(UTC) + _EAST).date()
        if self.unit == "day":
            last = day + timedelta(days=self.count)
        else:
            months = self.count * (12 if self.unit == "year" else 1)
            year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
            try:
                last = day.replace(year=year, month=month + 1)
            except ValueError:
                last = day.replace(year=year, month=month + 2, day=1)
        return datetime.combine(last, time(), UTC) + timedelta(days=1) + _WEST

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Rule:
    """counsel: who has checked it for this operator, or `not reviewed`."""

    jurisdiction: str
    name: str
    keeps: Keeps
    clock: Starts
    length: Length
    source: str
    counsel: str


@dataclass(frozen=True, slots=True)
class Clock:
    """What a rule says of one case. Not started: start and end are None."""

    rule: Rule
    start: datetime | None
    end: datetime | None

    def ended(self, now: datetime) -> bool:
        return self.end is not None and self.end <= now


def clocks(rules: Iterable[Rule], row: CaseRow) -> list[Clock]:
    """Each rule's clock for a case, in the order of the rules."""
    starts = {Starts.DETECTION: row.detected_at, Starts.REPORT: reported_at(row)}
    found = []
    for rule in rules:
        start = starts[rule.clock]
        found.append(Clock(rule, start, None if start is None else rule.length.after(start)))
    return found


def applying(settings: Settings) -> tuple[Rule, ...]:
    """The rules of the jurisdictions in the settings; none where those are empty.

    Raises RetentionWrong, also for a rule that would not apply, and for an unknown jurisdiction.
    """
    own = settings.custody.retention
    if own is None:
        source, text = "retention.toml of hashmatch", _SHIPPED.read_text("utf-8")
    else:
        source = str(settings.path(own))
        try:
            text = settings.path(own).read_text("utf-8-sig")
        except OSError as error:
            problem = f"it cannot be read: {error.strerror}"
            raise RetentionWrong(source=source, rule="the file", problem=problem) from None
        except UnicodeDecodeError:
            problem = "it is not UTF-8 text"
            raise RetentionWrong(source=source, rule="the file", problem=problem) from None
    return chosen(parse(text, source), settings.custody.jurisdictions, source)


def chosen(rules: Sequence[Rule], jurisdictions: Iterable[str], source: str) -> tuple[Rule, ...]:
    """The rules of these jurisdictions. Raises RetentionWrong for one that no rule is of."""
    wanted = set(jurisdictions)
    known = sorted({rule.jurisdiction for rule in rules})
    for name in sorted(wanted):
        if name not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; they have {', '.join(known)}"
            problem = f"no rule is of {name!r}, which the settings name{hint}"
            raise RetentionWrong(source=source, rule="[custody] jurisdictions", problem=problem)
    return tuple(rule for rule in rules if rule.jurisdiction in wanted)


def parse(text: str, source: str) -> tuple[Rule, ...]:
    """All rules of a file. Raises RetentionWrong for the first thing that makes no sense."""
    try:
        given = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"it is not TOML: {error}"
        raise RetentionWrong(source=source, rule="the file", problem=problem) from None
    tables = given.get("rule")
    if given.keys() - {"rule"}:
        problem = f"{sorted(given.keys() - {'rule'})[0]!r} means nothing here; rules are [[rule]]"
        raise RetentionWrong(source=source, rule="the file", problem=problem)
    if not isinstance(tables, list) or not tables:
        raise RetentionWrong(source=source, rule="the file", problem="it has no [[rule]]")
    rules: list[Rule] = []
    for number, table in enumerate(tables, 1):
        called = f"rule {number}"
        try:
            if not isinstance(table, dict):
                raise ValueError("it is no table: write [[rule]] above it")
            if isinstance(table.get("name"), str):
                called = f"rule {number} ({table['name'][:_LONGEST_TEXT]!r})"
            rule = _rule(table)
            if rule.name in {one.name for one in rules}:
                raise ValueError("another rule has this name")
        except ValueError as error:
            raise RetentionWrong(source=source, rule=called, problem=str(error)) from None
        rules.append(rule)
    _refuse_gaps(rules, source)
    return tuple(rules)


def _rule(table: dict[str, Any]) -> Rule:
    wanted = [field.name for field in fields(Rule)]
    for name in table:
        if name not in wanted:
            near = difflib.get_close_matches(name, wanted, n=1)
            raise ValueError(f"{name!r} is not known" + (f"; {near[0]}?" if near else ""))
    for name in wanted:
        value = table.get(name)
        if value is None:
            raise ValueError(f"{name} is missing")
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise ValueError(f'{name} must be text, like {name} = "…"')
        if len(value) > _LONGEST_TEXT:
            raise ValueError(f"{name} is longer than {_LONGEST_TEXT} letters")
    return Rule(
        jurisdiction=table["jurisdiction"],
        name=table["name"],
        keeps=Keeps(_one_of(Keeps, "keeps", table["keeps"])),
        clock=Starts(_one_of(Starts, "clock", table["clock"])),
        length=_length(table["length"]),
        source=table["source"],
        counsel=table["counsel"],
    )


def _one_of(kind: type[StrEnum], name: str, value: str) -> str:
    if value not in list(kind):
        raise ValueError(f"{name} is {' or '.join(kind)}, not {value!r}")
    return value


def _length(text: str) -> Length:
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise ValueError(f'length is written like "21 days", "6 months" or "1 year", not {text!r}')
    count, unit = int(found[1]), found[2]
    if count == 0:
        raise ValueError("length is zero: that keeps nothing")
    if count > _MOST[unit]:
        raise ValueError(f"length is over {LONGEST_YEARS} years")
    return Length(count, unit)


def _refuse_gaps(rules: Sequence[Rule], source: str) -> None:
    """A jurisdiction says how long its content is kept, and keeps no reference for less time."""
    some_day = datetime(2001, 1, 1, tzinfo=UTC)
    for rule in rules:
        called = f"rule {rules.index(rule) + 1} ({rule.name!r})"
        content = [
            other
            for other in rules
            if other.jurisdiction == rule.jurisdiction and other.keeps is Keeps.CONTENT
        ]
        if not content:
            problem = f"no rule of {rule.jurisdiction!r} says how long its content is kept"
            raise RetentionWrong(source=source, rule=called, problem=problem)
        for other in content if rule.keeps is Keeps.REFERENCE else ():
            longer = other.length.after(some_day) > rule.length.after(some_day)
            if other.clock is rule.clock and longer:
                problem = f"it keeps the reference for less time than {other.name!r} the content"
                raise RetentionWrong(source=source, rule=called, problem=problem)
