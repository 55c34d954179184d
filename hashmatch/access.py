"""People: who somebody is, and what they may do.

    name = permitted(settings.people, account(), Role.CUSTODIAN)

A person is the account that the operating system says the process belongs to, not what the
environment claims. Not guaranteed here: anything against somebody who can become another account,
as root can. Give the database's roles to the same people, see docs/security.md.
"""

from __future__ import annotations

import os
import pwd
from enum import StrEnum

from hashmatch.config import People
from hashmatch.errors import HashmatchError


class Role(StrEnum):
    """What one may do. The values are as the settings have them, without their `s`."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    CUSTODIAN = "custodian"
    AUDITOR = "auditor"


class RoleMissing(HashmatchError):
    message = "{person} may not do this: it takes the role of {roles}."
    remedy = "Ask somebody who has it, or have {person} added to [people] in the settings."
    exit_code = 25


class NobodyNamed(HashmatchError):
    message = "[people] names no {roles}, and this takes two people who are known by name."
    remedy = "Add two accounts to [people] {setting} in the settings."
    exit_code = 25


def account() -> str:
    """The account of this process: its name, or uid-NUMBER where it has none."""
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def members(people: People, role: Role) -> tuple[str, ...]:
    """The accounts that have a role."""
    named: tuple[str, ...] = getattr(people, f"{role.value}s")
    return named


def permitted(people: People, person: str, *roles: Role, named: bool = False) -> str:
    """The person, who has one of these roles. As long as [people] is empty, everyone has all.

    named: not everyone; somebody must be named. Raises RoleMissing, NobodyNamed.
    """
    in_words = " or ".join(roles)
    if any(person in members(people, role) for role in roles):
        return person
    if named and not any(members(people, role) for role in roles):
        raise NobodyNamed(roles=in_words, setting=f"{roles[0].value}s")
    if named or any(members(people, role) for role in Role):
        raise RoleMissing(person=person, roles=in_words)
    return person
