"""How far a case came, and what keeps it there, in words that name no clip."""

from __future__ import annotations

from typing import NamedTuple

from hashmatch.clips.store import ObjectDenied, VersionsRemain
from hashmatch.custody.absence import StorageEmpty
from hashmatch.custody.case_record import State
from hashmatch.custody.vault.store import VaultFailed
from hashmatch.errors import CustodyError, HashmatchError, StorageError


class Progress(NamedTuple):
    """Where a case is now, and what keeps it there (or, of a `lost` one, why there is no copy).

    A problem is for the caller to raise the alarm about. It names no clip. storage_failed: clip storage
    or the vault is what it is about.
    """

    case: str
    state: State
    problem: str | None
    storage_failed: bool = False


class PlatformWaits(CustodyError):
    message = "The platform has not said that the clip is down: {problem}"
    remedy = (
        "The original stays where it is until then, and the next run asks again. Check [withdraw] "
        "and what answers there; docs/platform.md says which answers count."
    )


class SealedCopyLost(StorageError):
    message = "The sealed copy is not what was sealed, and the original is gone from clip storage."
    remedy = "Restore the object from the vault's backup; the next run verifies it again."


def in_words(error: HashmatchError) -> str:
    """For log and listing. What clip storage says is not repeated: it may name the clip."""
    if isinstance(error, ObjectDenied):
        return "clip storage refused access; check that this host may read and delete originals"
    if isinstance(error, VersionsRemain):
        said = {**error.details, "key": "the original", "url": "clip storage"}
        return f"{VersionsRemain(**said).message} {error.remedy}"
    named = VaultFailed | SealedCopyLost | StorageEmpty
    if isinstance(error, StorageError) and not isinstance(error, named):
        return f"clip storage failed ({type(error).__name__})"
    return error.message
