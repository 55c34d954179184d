"""Destruction: what two people asked for. The case's key goes first, then all else of the case.

    certificate = destroy(db, vault, case_id, software)

May be repeated: a process that is killed anywhere leaves a case that the next run destroys to its
end. Once the key is gone the clip cannot be opened, whatever storage keeps of it.

Not guaranteed here: copies that somebody made of the vault with its keys in it, such as back-ups.
See docs/custody.md.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit.log import written
from hashmatch.custody import record, requests, retention
from hashmatch.custody.record import Case, State, Step
from hashmatch.custody.vault import Vault, VaultFailed, key_name
from hashmatch.db.schema import CaseStepRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyError
from hashmatch.model import Json

FORMAT = 1


class NoCertificate(CustodyError):
    """Case {case} has no certificate: it is {state}, not destroyed.

    `hashmatch quarantine show {case}` says how far it has come.
    """
