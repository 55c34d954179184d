"""Unsealing: what a custodian does with a private key, on a machine that does not scan.

    identities = load_identities(Path("custodian.key"))
    case_key = open_case_key(sealed_key, identities, case.case_key)
    for chunk in UnsealedStream(store.read(vault_key), case_key, sha256=case.sha256):
        ...

No part of a scan imports this. The stream ends without an error only when all of the sealed object
was read and the content has the digest that was recorded when the clip was scanned; what came
before the end is not to be used until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyrage

from hashmatch.audit.keys import KeyMalformed, KeyMissing, read_secret
from hashmatch.custody.vault.age_stream import AgeStream, Measure, Sink, Source
from hashmatch.custody.vault.sealing import CaseKey
from hashmatch.errors import ConfigError, HashmatchError

Identity: TypeAlias = Any  # pyrage.x25519.Identity, which comes without types

_SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - how such a key begins, not one


class IdentityMissing(ConfigError):
    message = "{source}: there is no such private key file."
    remedy = "Name the file that `age-keygen -o FILE` made, on the machine where it is kept."


class IdentityMalformed(ConfigError):
    message = "{source}: {problem}."
    remedy = (
        "An identity file of `age-keygen` is wanted, with a line that starts with "
        "AGE-SECRET-KEY-1. One that is locked with a passphrase is unlocked by `age -d FILE`; SSH "
        "keys cannot be used."
    )


class WrongIdentity(HashmatchError):
    message = "Case {case} is not sealed for this private key."
    remedy = (
        "Use the key of a custodian who was one when the case was sealed, or the break-glass key. "
        "A new custodian's key works after `hashmatch quarantine rewrap`."
    )
    exit_code = 22


class Unopenable(HashmatchError):
    message = "Case {case}: the sealed {what} cannot be opened, though the key is right: {problem}."
    remedy = "Run `hashmatch quarantine verify {case}`; restore the object from the vault's backup."
    exit_code = 21


def load_identities(path: Path) -> list[Identity]:
    """The private keys of a file that belongs to one account (0600).

    Raises IdentityMissing, IdentityMalformed, KeyUnsafe. Nothing of the file is repeated.
    """
    try:
        data = read_secret(path)
    except KeyMissing:
        raise IdentityMissing(source=path) from None
    except KeyMalformed:
        raise IdentityMalformed(source=path, problem="it is not a file") from None
    return parse_identities(data, str(path))


def parse_identities(data: bytes, source: str) -> list[Identity]:
    """As `load_identities`, of a file's content."""
    if data.startswith((b"age-encryption.org/", b"-----BEGIN AGE")):
        raise IdentityMalformed(source=source, problem="it is locked with a passphrase")
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    secrets = [line for line in lines if line.upper().startswith(_SECRET)]
    if not secrets:
        raise IdentityMalformed(source=source, problem="there is no private key of age in it")
    try:
        return [pyrage.x25519.Identity.from_str(secret) for secret in secrets]
    except pyrage.IdentityError:
        # Without its cause: the library's message may quote the key.
        raise IdentityMalformed(source=source, problem="a private key in it is damaged") from None


def open_case_key(sealed: bytes, identities: Sequence[Identity], public: str, case: str) -> CaseKey:
    """A case's key, of which `public` is on record. Raises WrongIdentity, Unopenable."""
    try:
        private = pyrage.decrypt(sealed, list(identities)).decode("ascii", "replace")
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise WrongIdentity(case=case) from None
        raise Unopenable(case=case, what="key", problem="it is damaged") from None
    return check_case_key(private, public, case)


def check_case_key(private: str, public: str, case: str) -> CaseKey:
    """A case's private key as somebody gives it. Raises WrongIdentity if it is another case's."""
    for identity in parse_identities(private.encode(), f"the key of {case}"):
        if str(identity.to_public()) == public:
            return CaseKey(public, str(identity))
    raise WrongIdentity(case=case)


class UnsealedStream(AgeStream):
    """The content of a sealed object. `sha256`: what it must have. Raises Unopenable."""

    def __init__(self, chunks: Iterable[bytes], key: CaseKey, *, sha256: str, case: str) -> None:
        super().__init__(chunks)
        self._identity = pyrage.x25519.Identity.from_str(key.private)
        self._expected = sha256
        self._case = case

    def work(self, source: Source, sink: Sink) -> None:
        pyrage.decrypt_io(source, sink, [self._identity])

    def translate(self, error: BaseException) -> BaseException:
        if isinstance(error, pyrage.DecryptError) and "No matching keys" in str(error):
            return self._failed("it is sealed for another key")
        return self._failed("it is damaged")

    def check(self, taken: Measure, given: Measure, head: bytes) -> None:
        if given.sha256 != self._expected:
            raise self._failed("it holds other bytes than the clip that was scanned")

    def _failed(self, problem: str) -> Unopenable:
        return Unopenable(case=self._case, what="clip", problem=problem)
