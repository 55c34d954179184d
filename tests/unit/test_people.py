"""Roles: who may do what, and who somebody is."""

from __future__ import annotations

import os
import pwd

import pytest

from hashmatch.access import NobodyNamed, Role, RoleMissing, account, permitted
from hashmatch.config import People

PEOPLE = People(reviewers=("ann",), custodians=("ben", "eve"))


def test_a_person_is_the_account_and_not_what_the_environment_says(monkeypatch):
    for name in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert account() == pwd.getpwuid(os.getuid()).pw_name


def test_an_account_without_a_name_is_its_number(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert account() == "uid-3999999999"


def test_one_of_the_roles_is_enough():
    assert permitted(PEOPLE, "ann", Role.CUSTODIAN, Role.REVIEWER) == "ann"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.CUSTODIAN, Role.AUDITOR])
def test_a_role_that_one_does_not_have_is_refused(role):
    with pytest.raises(RoleMissing, match=f"ann may not do this: it takes the role of {role}"):
        permitted(PEOPLE, "ann", role)


def test_without_any_names_everyone_may_do_what_takes_one_person():
    assert permitted(People(), "ann", Role.REVIEWER) == "ann"


def test_what_takes_two_people_takes_names():
    with pytest.raises(NobodyNamed, match="names no custodian"):
        permitted(People(), "ann", Role.CUSTODIAN, named=True)
    with pytest.raises(RoleMissing):
        permitted(PEOPLE, "ann", Role.CUSTODIAN, named=True)
