"""What `hashmatch help TOPIC` says: tables for people, made of what the code goes by where it can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hashmatch.cli.app import say, table


class ExitCode(NamedTuple):
    code: str
    meaning: str
    what_to_do: str


# Also in docs/operations.md.
EXIT_CODES = tuple(
    ExitCode(*row)
    for row in (
        ("0", "every listed clip was seen", "nothing"),
        ("1", "something unexpected", "report it with the log"),
        ("2", "the command was called wrongly", "--help"),
        (
            "10",
            "finished, but some clips were not seen in full, not reached or wait for another look, or"
            " their custody is unfinished",
            "`hashmatch runs show`; most go away by themselves",
        ),
        (
            "11",
            "the canary was not seen",
            "`hashmatch doctor`; the clips of that run are due again",
        ),
        (
            "12",
            "no list is active, or one is older than lists.max_age_days",
            "import the partner's current list",
        ),
        ("13", "another run holds the lock", "wait"),
        ("14", "the settings are wrong", "the message names the setting"),
        (
            "15",
            "clip storage or the vault cannot be reached, or kept a case from going on; storage lists far"
            " fewer clips than before, the vault is not the one used before, or a file for you, a checkpoint"
            " for an anchor or the metrics cannot be written",
            "check it, its mount, its credentials and its space",
        ),
        (
            "16",
            "the database cannot be reached, or is not of this version",
            "the message says which",
        ),
        (
            "20",
            "the audit log is not what was written, or does not continue what was signed here",
            "stop the timer, keep the database, compare checkpoints",
        ),
        ("21", "a sealed object is damaged or missing", "restore it from the vault's backup"),
        ("22", "a case could not be worked on", "the message says why"),
        ("23", "a file given to `hash` cannot be decoded", "the message says why"),
        (
            "24",
            "what is stored of a clip is damaged",
            "scan the clips again: `hashmatch rescan --since DATE`",
        ),
        ("25", "your account lacks the role that this takes", "see [people] in the settings"),
        (
            "26",
            "a review, or what was decided of an entry, is not as the command takes it",
            "the message says what",
        ),
        (
            "27",
            "there is nothing in the audit log that would prove this",
            "the message says what is there instead",
        ),
        ("30 and up", "a list was refused", "the message says what and where"),
        (
            "130",
            "ended with Ctrl-C: tidily after the first, at once after the second",
            "start it again when you like",
        ),
        ("141", "whoever read its output had enough, as `head` has", "nothing"),
    )
)

ROLES = {
    "operator": "scan, rescan, change lists, carry on and verify cases, read the log, trust an entry again",
    "reviewer": "show and decide reviews",
    "custodian": "all that is done to cases, reviews, proofs",
    "auditor": "read the log, make proofs and bundles, verify the vault, see requests, clocks and"
    " certificates",
}

OUTCOMES = {
    "matched": "it shows listed content: it is taken into custody",
    "review": "near a listed entry, a single frame of one, or held by the circuit breaker: a person decides",
    "clean": "all of it was seen, and nothing in it is listed",
    "partial": "not all of it could be seen, and in what was seen nothing is listed",
    "unscannable": "nothing of it could be seen",
}


def _exit_codes() -> None:
    table(["code", "meaning", "what to do"], [list(row) for row in EXIT_CODES])


def _outcomes() -> None:
    from hashmatch.model import Reason

    say("Every clip that a run lists ends it with one of these:")
    say()
    table(["outcome", "meaning"], [list(row) for row in OUTCOMES.items()])
    say()
    say(
        "Why a clip is partial or unscannable. What may pass by itself is tried again by later runs:"
    )
    say()
    again = {True: "yes", False: "no"}
    rows = [[reason.value, again[reason.retryable], reason.text] for reason in Reason]
    table(["reason", "again", "meaning"], rows)


def _roles() -> None:
    say("[people] in the settings says which accounts have which role.")
    say()
    table(["role", "may"], [list(row) for row in ROLES.items()])
    say()
    say(
        "Where [people] names nobody, everybody may do what takes one person, and nobody what takes two."
    )


def _settings() -> None:
    from hashmatch.config import render

    for line in render({}).splitlines():
        say(line)


TOPICS: Mapping[str, tuple[str, Callable[[], None]]] = {
    "outcomes": ("what a scan says of a clip, and why one could not be seen", _outcomes),
    "exit-codes": ("what a command's exit code says", _exit_codes),
    "roles": ("who may do what", _roles),
    "settings": ("every setting of hashmatch.toml, with its default", _settings),
}
