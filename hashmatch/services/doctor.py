"""The doctor: whether an installation works, part by part, up to a canary that goes the whole way.

    for finding in examine(lambda: load(path)):
        print(finding.what, finding.ok, finding.says)

What a run writes to is written to: a small object goes into the vault and the anchors, is read back and
removed, where no lock keeps it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hashmatch.audit import anchor_check
from hashmatch.audit.keys import load_id_key, load_signer, load_verifier
from hashmatch.audit.signing import Signer
from hashmatch.clips.discover import Discovery
from hashmatch.clips.open_store import open_store
from hashmatch.clips.s3_lock import lock_of
from hashmatch.clips.store_check import check_store
from hashmatch.config import Settings
from hashmatch.counting import counted
from hashmatch.custody.approvals import Terms
from hashmatch.custody.notify.platform import nobody_told, open_platform
from hashmatch.custody.vault import marker
from hashmatch.custody.vault.store import failed, open_vault
from hashmatch.db.listings import expected, missing_last
from hashmatch.db.session import Database
from hashmatch.errors import CanaryFailed, HashmatchError, StorageError
from hashmatch.hashing import selftest
from hashmatch.lists.compiled.building import compile_lists
from hashmatch.report import metrics
from hashmatch.runs.job import now
from hashmatch.runs.listing_collapse import ListingCollapsed, least
from hashmatch.runs.worker import open_scanner
from hashmatch.scanning import canary, crosscheck
from hashmatch.scanning.fingerprinting import Fingerprinter

# Clips that the doctor lists at most: ten requests to S3.
MOST_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. exit_code: of the error that was found, which a run would end with; about
    what is an alarm of a run and no more (anchors) too.
    """

    what: str
    ok: bool
    says: str
    remedy: str = ""
    exit_code: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(load_settings: Callable[[], Settings]) -> Iterator[Finding]:
    """Each part in the order that a run needs them; stops where nothing further can be looked at."""
    found = _Patient()
    try:
        yield from found.examined(load_settings)
    finally:
        if found.db is not None:
            found.db.close()


class _Patient:
    """What is open so far. Each look returns what it says, or raises the error that it found."""

    settings: Settings | None = None
    db: Database | None = None

    def examined(self, load_settings: Callable[[], Settings]) -> Iterator[Finding]:
        yield self.look("settings", lambda: self.settings_from(load_settings))
        if self.settings is None:
            return
        yield self.look("keys", self.keys)
        yield self.look("database", self.database)
        yield self.look("clip storage", self.clips)
        yield self.look("vault", self.vault)
        yield from self.anchors()
        if self.settings.report.metrics is not None:
            yield self.look("metrics", self.metrics)
        yield self.look("hashing", self.hashing)
        yield self.look("decoding", self.decoding)
        yield self.look("sandbox", self.sandbox)
        if self.db is not None:
            yield self.look("custody", self.custody)
            yield self.look("platform", self.platform)
            yield self.look("audit log", self.audit_log)
            yield self.look("lists", self.lists)
            yield self.look("canary", self.canary)

    def look(self, what: str, part: Callable[[], str]) -> Finding:
        try:
            return Finding(what, True, part())
        except HashmatchError as error:
            return Finding(what, False, error.message, error.remedy, error.exit_code)

    def settings_from(self, load: Callable[[], Settings]) -> str:
        self.settings = load()
        return f"read, relative paths start from {self.settings.home}"

    def keys(self) -> str:
        audit = self._settings.audit
        if self._verifies_only():
            load_verifier(self._settings.path(audit.key))
            return "the log's public key: this host can verify and prove, and cannot scan"
        load_signer(self._settings.path(audit.key))
        load_id_key(self._settings.path(audit.id_key))
        return "there, and nobody else can read them"

    def database(self) -> str:
        db = Database.connect(self._settings.database.url, self._settings.home)
        db.check_revision()
        self.db = db
        return f"{db.url} has this version's tables"

    def clips(self) -> str:
        settings = self._settings
        store = open_store(settings.clips, settings.home)
        listing = Discovery(store, settings.clips, settings.home)
        known = missing = 0
        if self.db is not None:
            with self.db.read() as session:
                known = expected(session)
                missing = missing_last(session)
        needed = least(known, settings.clips)
        enough = min(needed, MOST_LISTED)
        listed = sum(1 for _ in islice(listing, max(1, enough)))
        if listed < enough:
            raise ListingCollapsed(url=store.url, listed=listed, expected=known)
        if missing and needed > MOST_LISTED:  # more than is listed here: the last scan has told
            raise ListingCollapsed(url=store.url, listed=known - missing, expected=known)
        return f"{store.url} answers" + ("" if listed else ", and lists no clip")

    def vault(self) -> str:
        vault = open_vault(self._settings)
        count = len(set(self._settings.vault.recipients))
        says = [f"outside clip storage, sealed for {counted(count, 'recipient')}"]
        if self.db is not None:
            marked = marker.refuse_another(self.db, vault.store) is not None
            says.append("it has its marker" if marked else "the next run marks it")
        try:
            left = check_store(vault.store, lock_of(self._settings.vault), now())
        except StorageError as error:
            raise failed(error) from error
        says.append("takes and gives back")
        return "; ".join(says if left is None else [*says, left])

    def anchors(self) -> Iterator[Finding]:
        checks = list(anchor_check.checks(self._settings))
        if not checks:
            yield Finding("anchors", True, "none: nobody else keeps the log's checkpoints")
        for kind, ask in checks:
            yield self.look(f"anchor: {kind}", ask)

    def metrics(self) -> str:
        assert self._settings.report.metrics is not None
        path = self._settings.path(self._settings.report.metrics)
        metrics.check(path)
        return f"{path} can be written"

    def platform(self) -> str:
        assert self.db is not None
        says = open_platform(self.db, self._settings).check()
        if (error := nobody_told(self._settings.withdraw)) is not None:
            raise error
        return says

    def custody(self) -> str:
        Terms.of(self._settings)
        rules = ", ".join(self._settings.custody.jurisdictions)
        custodians = len(set(self._settings.people.custodians))
        return "; ".join(
            (
                f"retention of {rules}" if rules else "no jurisdiction: nothing can be destroyed",
                counted(custodians, "custodian")
                + ("" if custodians >= 2 else ": nothing can be released or destroyed"),
            )
        )

    def hashing(self) -> str:
        selftest.check()
        return "the built-in vectors of the reference implementation come out"

    def decoding(self) -> str:
        """Both decoders over the canary: the one that looks at clips, and OpenCV's."""
        with canary.clip(Path(tempfile.gettempdir())) as clip:
            apart = crosscheck.compare(clip.file)
        return f"a second decoder sees the canary's frames the same, within {apart} bits"

    def sandbox(self) -> str:
        with Fingerprinter(self._settings.decode) as fingerprinter:
            held = fingerprinter.protections
        missing = sorted(name for name, holds in held.items() if not holds)
        if missing:
            return f"decoders run apart; this host does not offer: {', '.join(missing)}"
        return f"decoders run apart, held by {counted(len(held), 'protection')}"

    def audit_log(self) -> str:
        assert self.db is not None
        if self._verifies_only():
            return "signed elsewhere: hashmatch audit verify"
        signer = Signer.of(self._settings)
        with self.db.read() as session:
            signer.check(session)
        return f"{signer.origin} continues what was signed here"

    def lists(self) -> str:
        assert self.db is not None
        compiled = compile_lists(self.db, self._settings, now())
        acting = ", ".join(f"{name} {version}" for name, version in compiled.versions.items())
        return "; ".join([acting, *compiled.alarms])

    def canary(self) -> str:
        assert self.db is not None
        compiled = compile_lists(self.db, self._settings, now())
        worker = open_scanner(self._settings, compiled.file)
        try:
            problem = worker.canary()
        finally:
            worker.close()
        if problem is not None:
            raise CanaryFailed(when="doctor's examination", problem=problem)
        return "seen: decoded in its own process, hashed, found in the lists"

    def _verifies_only(self) -> bool:
        """[audit] key is a public key, which everybody may read."""
        try:
            begins = self._settings.path(self._settings.audit.key).read_bytes()[:1024]
        except OSError:
            return False
        return bool(begins) and not begins.startswith(b"-----BEGIN")

    @property
    def _settings(self) -> Settings:
        assert self.settings is not None
        return self.settings
