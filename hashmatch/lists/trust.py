"""What makes a version of a list trustworthy, each as one check that raises.

check_digest(name, expected, found)         the bytes are those that the partner published
tally.check(name, limit)                    nearly all of its rows can be used
check_untyped(name, hashes, split)          hashes taken for PDQ look like PDQ
check_entries(name, entries, tally)         it is not empty
check_shrink(name, old, new, limit)         it did not lose a large part of its entries
check_trial(name, result, ...)              it does not match half of what is stored
check_age(name, imported, now, limit)       it is not older than the installation allows
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from hashmatch.errors import ListError, ListTooOld
from hashmatch.lists.formats.rows import Fault

SHOWN_LINES = 5
# Of PDQ hashes nearly all have exactly 128 bits set (all 5,872 of Meta's samples), of SHA-256
# digests one in twenty: of 20 digests, ten have it once in ten million cases.
UNTYPED_SAMPLE = 20
UNTYPED_SHARE = 0.5
TRIAL_SAMPLE = 20


class ListRejected(ListError):
    message = "{name}: {rejected} of {rows} rows cannot be used, more than {limit:.2%} of them."
    remedy = (
        "{reasons}\n"
        "Nothing was imported. Ask the partner about these rows, or raise lists.max_rejected "
        "(--max-rejected) if they can do without them."
    )
    exit_code = 31


class ListWithoutEntries(ListError):
    message = "{name}: there is no entry that could be used{left_out}."
    remedy = (
        "A list without entries is taken for a mistake. `hashmatch lists deactivate {name}` stops "
        "a list."
    )
    exit_code = 31


class DigestDiffers(ListError):
    message = "{name}: the SHA-256 of the file is not the one that was expected."
    remedy = (
        "It was {found}, expected was {expected}. Fetch the file again over a channel you trust."
    )
    exit_code = 32


class NotPdq(ListError):
    message = "{name}: the {hashes} hashes of 64 digits without an algorithm do not look like PDQ."
    remedy = (
        "Half of a PDQ hash's bits are set; only {split} of these have that. They may be SHA-256 "
        "digests: say which they are with --algorithm sha256 or --algorithm pdq."
    )
    exit_code = 32


class ListShrank(ListError):
    message = "{name}: the new version has {new} entries, the active one {old}."
    remedy = (
        "A partner's list rarely loses this much. Compare the two with `hashmatch lists diff "
        "{name}`, then activate with --accept-shrink."
    )
    exit_code = 33


class TrialTooWide(ListError):
    message = "{name}: version {version} would match {matched} of {clips} stored clips."
    remedy = (
        "That is more than match.breaker_share allows one entry, and nothing was changed. Compare "
        "it with the version before (`hashmatch lists diff {name}`) and ask the partner; to have "
        "it act like this nevertheless, use --accept-trial."
    )
    exit_code = 34


@dataclass
class Tally:
    """Counts the rows of an import, and why some were left out. Holds no content of any.

    incomparable: how many of `left_out` were of each kind that cannot be compared.
    """

    rows: int = 0
    rejected: Counter[Fault] = field(default_factory=Counter)
    left_out: Counter[Fault] = field(default_factory=Counter)
    incomparable: Counter[str] = field(default_factory=Counter)
    lines: dict[Fault, list[str]] = field(default_factory=dict)

    def reject(self, fault: Fault, where: str, kind: str | None = None) -> None:
        """where: `line 17`, with the file's name before it where there are several."""
        if kind is not None:
            self.incomparable[kind] += 1
        if fault.harmless:
            self.left_out[fault] += 1
            return
        self.rejected[fault] += 1
        lines = self.lines.setdefault(fault, [])
        if len(lines) < SHOWN_LINES:
            lines.append(where)

    def check(self, name: str, limit: float) -> None:
        """limit: share of rejected rows, 0..1. Raises ListRejected."""
        rejected = self.rejected.total()
        if rejected and rejected > limit * self.rows:
            raise ListRejected(
                name=name,
                rejected=rejected,
                rows=self.rows,
                limit=limit,
                reasons="; ".join(self.report()),
            )

    def report(self) -> list[str]:
        """One text for each reason, the most frequent first."""
        texts = []
        for fault, count in self.rejected.most_common():
            lines = self.lines[fault]
            more = f" and {count - len(lines)} more" if count > len(lines) else ""
            texts.append(f"{', '.join(lines)}{more}: {fault.value}")
        return texts

    def omissions(self) -> list[str]:
        """One text for each harmless reason to leave rows out, with the kinds of hashes by name."""
        texts = [
            f"{_rows(n)} left out: {fault.value}"
            for fault, n in self.left_out.most_common()
            if fault is not Fault.INCOMPARABLE
        ]
        return texts + [
            f"{_rows(n)} left out: {kind}, which hashmatch cannot compare"
            for kind, n in self.incomparable.most_common()
        ]


@dataclass(frozen=True)
class TrialResult:
    """What a version would match of what is already stored, whatever its list's action.

    clips: how many it was tried on; near: clips beside those matched that it would send to review.
    """

    clips: int
    matched: int
    near: int = 0


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def check_digest(name: str, expected: str | None, found: str) -> None:
    if expected is not None and expected.strip().lower() != found:
        raise DigestDiffers(name=name, expected=expected.strip().lower(), found=found)


def check_untyped(name: str, hashes: int, split: int) -> None:
    """hashes: how many were taken for PDQ by their length; split: those with 128 bits set."""
    if hashes >= UNTYPED_SAMPLE and split < UNTYPED_SHARE * hashes:
        raise NotPdq(name=name, hashes=hashes, split=split)


def check_entries(name: str, entries: int, tally: Tally | None = None) -> None:
    """tally: of the import that made them. Raises ListWithoutEntries."""
    if entries == 0:
        found = tally.incomparable.most_common() if tally is not None else []
        kinds = ", ".join(f"{_rows(n)} of {kind}" for kind, n in found)
        told = f": {kinds}, which hashmatch cannot compare" if kinds else ""
        raise ListWithoutEntries(name=name, left_out=told)


def check_shrink(name: str, old: int, new: int, limit: float) -> None:
    if new < (1 - limit) * old:
        raise ListShrank(name=name, old=old, new=new)


def is_too_wide(result: TrialResult, share: float) -> bool:
    return result.clips >= TRIAL_SAMPLE and result.matched > share * result.clips


def check_trial(name: str, version: int, result: TrialResult, share: float) -> None:
    if is_too_wide(result, share):
        raise TrialTooWide(name=name, version=version, clips=result.clips, matched=result.matched)


def check_age(name: str, imported: datetime, now: datetime, limit: float) -> None:
    """limit: days. Raises ListTooOld."""
    days = (now - imported).total_seconds() / 86400
    if days > limit:
        raise ListTooOld(name=name, days=int(days), limit=limit)
