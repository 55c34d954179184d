"""Settings and keys on the record: what they were when a run began, without a value of them.

    with db.write() as session:
        record(session, settings, names, signer, now())

Table `known` holds a keyed digest of every setting, so that a leaf can name those that changed. The
leaves hold one keyed digest over all of them, to be compared with a copy of the settings later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.checkpoint import verifier_key
from hashmatch.audit.names import KeyedNames
from hashmatch.audit.signing import Signer
from hashmatch.config import Settings
from hashmatch.db.schema import KnownRow
from hashmatch.model import Json


def record(
    session: Session, settings: Settings, names: KeyedNames, signer: Signer, at: datetime
) -> None:
    """Compare with what was last seen; whatever differs has a leaf, and is what was last seen now."""
    values = values_of(settings)
    told = {name: names.digest(f"setting {name}", value) for name, value in values.items()}
    whole = names.digest("settings", json.dumps(values, sort_keys=True))
    keys = keys_of(settings, names, signer)
    before = session.get(KnownRow, "settings")
    known = session.get(KnownRow, "keys")
    if before is None or known is None or known.value["id_key"] != keys["id_key"]:
        # Under another id key nothing can be compared: all digests differ.
        log.append(session, "settings-recorded", {"settings": whole, "keys": dict(keys)}, at)
    elif changed := _changed(before.value, told):
        log.append(session, "settings-changed", {"settings": whole, "changed": [*changed]}, at)
    if known is not None and (changed := _changed(known.value, keys)):
        former: dict[str, Json] = {name: known.value.get(name) for name in changed}
        body: dict[str, Json] = {"changed": [*changed], "keys": dict(keys), "former": former}
        log.append(session, "keys-changed", body, at)
    _remember(session, "settings", told, at)
    _remember(session, "keys", keys, at)


def values_of(settings: Settings) -> dict[str, str]:
    """Each setting by its name, such as run.workers, as JSON. Holds secrets."""
    return {
        f"{section}.{name}": json.dumps(getattr(values, name), default=_plain, sort_keys=True)
        for section in type(settings).model_fields
        for values in (getattr(settings, section),)
        for name in type(values).model_fields
    }


def keys_of(settings: Settings, names: KeyedNames, signer: Signer) -> dict[str, Json]:
    """The keys as leaves may show them: public ones, and of the id key what it makes of its name."""
    return {
        "signer": verifier_key(signer.origin, signer.key.public_key()),
        "id_key": names.digest("key", "id")[:32],
        "recipients": sorted(settings.vault.recipients),
    }


def _plain(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return sorted(n for n in {*before, *after} if before.get(n) != after.get(n))


def _remember(session: Session, name: str, value: Mapping[str, Any], at: datetime) -> None:
    row = session.get(KnownRow, name)
    if row is None:
        session.add(KnownRow(name=name, value=dict(value), at=at))
    elif row.value != value:
        row.value, row.at = dict(value), at
