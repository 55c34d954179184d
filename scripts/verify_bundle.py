#!/usr/bin/env python3
"""Checks a bundle of an audit log on any machine, and says in plain words what it proves.

    python3 verify_bundle.py --key 'NAME+KEYID+BASE64' case.zip

Needs Python 3.10 and the package `cryptography`, nothing else, and no network. --key is the log's
public key as you were given it by another way than the bundle: the text itself, or a file with it.

Exit codes:
  0  all that the bundle claims holds, and the key is the one you named
  1  it does not hold: something was changed, or does not prove what it claims
  2  the command was called wrongly
  3  the file is no such bundle, is damaged, or is refused as unsafe to read
  4  all holds, but under the key in the bundle itself, which you did not confirm by --key
  5  the bundle is of another log, or was signed with another key than the one you named

The format is described in docs/audit-bundle.md.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import math
import re
import struct
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "hashmatch audit bundle 1"
RUN_KINDS = ("run-started", "run-distrusted", "run-finished", "run-failed", "run-interrupted")
SHARD_KINDS = ("shard-scanned", "clips-compared")

MOST_MEMBERS = 100_000
MOST_JSON = 256 << 20  # bytes of proofs, openings, coverage and manifest, each
MOST_LEAF = 1 << 20
MOST_SMALL = 1 << 20  # of a checkpoint, a time-stamp, the key
MOST_SAFE = 2**53 - 1

ALWAYS = {"manifest.json", "leaves.jsonl", "proofs.json", "key.pub"}
SOMETIMES = {"openings.json", "coverage.json"}
NUMBERED = re.compile(
    r"(?:checkpoints/(?:[1-9][0-9]{0,18})\.note|anchors/[1-9][0-9]{0,18}\.[a-z]{1,16})"
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}")
SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")


class Verdict(Exception):
    code = 1


class Unproved(Verdict):
    code = 1


class Refused(Verdict):
    code = 3


class OtherLog(Verdict):
    code = 5


# The archive


class Archive:
    """A zip file whose members are stored as they are, under the names that a bundle has."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise Refused(f"{path} is no file")
        self.zip = zipfile.ZipFile(path)
        members = self.zip.infolist()
        if len(members) > MOST_MEMBERS:
            raise Refused(f"it has more than {MOST_MEMBERS} members")
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            name = member.orig_filename
            if name in self.members:
                raise Refused(f"it has two members called {shown(name)}")
            if name != member.filename or not (
                name in ALWAYS | SOMETIMES or NUMBERED.fullmatch(name)
            ):
                raise Refused(f"a bundle has no member called {shown(name)}")
            if member.flag_bits & 1:
                raise Refused(f"{name} is encrypted")
            if (
                member.compress_type != zipfile.ZIP_STORED
                or member.file_size != member.compress_size
            ):
                raise Refused(f"{name} is compressed; a bundle's members are not")
            self.members[name] = member
        if self.zip.comment:
            raise Refused("it has a comment")
        # Stored members that do not overlap are no larger than the file.
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise Refused("its members overlap")
        for name in sorted(ALWAYS - self.members.keys()):
            raise Refused(f"it has no {name}")

    def read(self, name: str, most: int) -> bytes:
        if self.members[name].file_size > most:
            raise Refused(f"{name} is larger than {most} bytes")
        with self.zip.open(self.members[name]) as member:
            return member.read()

    def json(self, name: str) -> Any:
        content = self.read(name, MOST_JSON)
        if not content.endswith(b"\n"):
            raise Refused(f"{name} does not end with a line feed")
        return parsed(content[:-1], name)

    def check(self, name: str, said: Any) -> None:
        """That a member is the one that the manifest speaks of."""
        size, sha256 = fields(said, f"the manifest, {name}", size=int, sha256=str)
        digest = hashlib.sha256()
        with self.zip.open(self.members[name]) as member:
            while chunk := member.read(1 << 20):
                digest.update(chunk)
        if (size, sha256) != (self.members[name].file_size, digest.hexdigest()):
            raise Unproved(f"{name} is not the one that the manifest names")

    def lines(self, name: str) -> Iterator[bytes]:
        with self.zip.open(self.members[name]) as member:
            while line := member.readline(MOST_LEAF + 1):
                if not line.endswith(b"\n"):
                    raise Refused(f"{name} has a line that is too long or cut off")
                yield line[:-1]


# Canonical JSON, RFC 8785


def parsed(encoded: bytes, what: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name twice")
        return found

    def no_constant(_name: str) -> NoReturn:
        raise ValueError("no number")

    try:
        value = json.loads(encoded.decode(), object_pairs_hook=once, parse_constant=no_constant)
        again = canonical(value).encode()
    except (ValueError, RecursionError):
        raise Refused(f"{what} is not canonical JSON") from None
    if again != encoded:
        raise Refused(f"{what} is not canonical JSON")
    return value


def canonical(value: Any) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{quoted(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MOST_SAFE:
        raise ValueError("too large a number")
    return json.dumps(value)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def number(value: float) -> str:
    """As ECMAScript writes it: the shortest digits, with an exponent only below 1e-6 and from 1e21."""
    if not math.isfinite(value):
        raise ValueError("no number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    more = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{more}e{point - 1:+d}"


def fields(value: Any, what: str, /, **kinds: Any) -> list[Any]:
    """The values of an object that has these names and no others, each of its kind."""
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise Refused(f"{what} does not have the fields {', '.join(kinds)}")
    for name, kind in kinds.items():
        if not isinstance(value[name], kind) or isinstance(value[name], bool):
            raise Refused(f"{what}: {name} is of the wrong kind")
    return [value[name] for name in kinds]


def hashes(value: Any, what: str) -> list[bytes]:
    if not isinstance(value, list) or not all(
        isinstance(each, str) and HASH.fullmatch(each) for each in value
    ):
        raise Refused(f"{what} is not a list of hashes")
    return [bytes.fromhex(each) for each in value]


# The tree, RFC 9162 section 2.1 (and RFC 6962)


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def is_included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn % 2 == 1 or fn == sn:
            r = node_hash(p, r)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def is_consistent(
    first: int, first_root: bytes, second: int, second_root: bytes, path: list[bytes]
) -> bool:
    """RFC 9162, 2.1.4.2, for trees that are not empty."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    if first & (first - 1) == 0:
        path = [first_root, *path]
    if not path:
        return False
    fn, sn = first - 1, second - 1
    while fn % 2 == 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn % 2 == 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == first_root and sr == second_root and sn == 0


class Grown:
    """A tree that goes on from the roots of the perfect subtrees of its first `size` leaves."""

    def __init__(self, size: int, roots: list[bytes]) -> None:
        if len(roots) != size.bit_count():
            raise Unproved(f"{size} leaves do not have {len(roots)} perfect subtrees")
        self.size, self.roots = size, roots

    def append(self, leaf: bytes) -> None:
        merged, size = leaf, self.size
        while size % 2 == 1:
            merged, size = node_hash(self.roots.pop(), merged), size >> 1
        self.roots.append(merged)
        self.size += 1

    def root(self) -> bytes:
        root = self.roots[-1]
        for left in self.roots[-2::-1]:
            root = node_hash(left, root)
        return root


# Keys and checkpoints: C2SP signed-note and tlog-checkpoint


class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes

    def __str__(self) -> str:
        return shown(f"{self.name}+{self.id.hex()}")


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


def keys(text: str, what: str) -> list[Key]:
    found = []
    *lines, end = text.split("\n")
    if end:
        raise Refused(f"{what} does not end with a line feed")
    for line in lines:
        name, _, rest = line.partition("+")
        identity, _, encoded = rest.partition("+")
        raw = unbase64(encoded)
        expected = hashlib.sha256(name.encode() + b"\n" + (raw or b"")).digest()[:4]
        if not name or raw is None or len(raw) != 33 or raw[0] != 1 or identity != expected.hex():
            raise Refused(f"{what} is no Ed25519 verifier key (NAME+KEYID+BASE64)")
        found.append(Key(name, expected, raw[1:]))
    if not found:
        raise Refused(f"{what} has no key")
    return found


def opened_note(note: bytes, known: list[Key], what: str) -> Checkpoint:
    """A checkpoint, signed by the key of its own name."""
    try:
        text, separator, tail = note.decode().rpartition("\n\n")
    except UnicodeDecodeError:
        raise Refused(f"{what} is not UTF-8") from None
    if not separator or not tail.endswith("\n"):
        raise Refused(f"{what} is no signed note")
    text += "\n"
    origin, size, root, *_ = [*text.split("\n"), "", ""]
    decoded = unbase64(root)
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or decoded is None or len(decoded) != 32:
        raise Refused(f"{what} is no checkpoint")
    key = next((each for each in known if each.name == origin), None)
    if key is None:
        raise Unproved(f"{what} is of a log called {shown(origin)}, which has no key here")
    signed = False
    for line in tail[:-1].split("\n"):
        found = SIGNATURE.fullmatch(line)
        signature = unbase64(found[2]) if found else None
        if found is None or signature is None:
            raise Refused(f"{what} has a malformed signature")
        if found[1] == key.name and signature[:4] == key.id:
            try:
                Ed25519PublicKey.from_public_bytes(key.public).verify(signature[4:], text.encode())
            except InvalidSignature:
                raise Unproved(f"the signature of {what} does not hold") from None
            signed = True
    if not signed:
        raise Unproved(f"{what} is not signed by {key}")
    return Checkpoint(origin, int(size), decoded)


def unhex(text: str) -> bytes:
    raw = bytes.fromhex(text)
    if raw.hex() != text:
        raise ValueError("spaces or capitals")
    return raw


def unbase64(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode() == text else None


# Leaves, openings, claims


class Leaf(NamedTuple):
    seq: int
    at: str
    kind: str
    body: dict[str, Any]


def read_leaf(encoded: bytes) -> Leaf:
    at, body, kind, seq, v = fields(
        parsed(encoded, "a leaf"), "a leaf", at=str, body=dict, kind=str, seq=int, v=int
    )
    if v != 1 or seq < 0 or not TIME.fullmatch(at):
        raise Refused("a leaf has a format that is not known here")
    return Leaf(seq, at, kind, body)


def commitment(kind: str, salt: bytes, value: bytes) -> str:
    digest = hashlib.sha256(b"hashmatch commitment v1\0" + kind.encode() + b"\0" + salt + value)
    return f"{kind}-{base64.b32encode(digest.digest()).decode().lower().rstrip('=')}"


def read_openings(said: Any) -> dict[str, tuple[str, bytes]]:
    if not isinstance(said, list):
        raise Refused("openings.json is not a list")
    found: dict[str, tuple[str, bytes]] = {}
    for each in said:
        held = "bytes" if isinstance(each, dict) and "bytes" in each else "value"
        kinds: dict[str, Any] = {"commitment": str, "kind": str, "salt": str, held: str}
        name, kind, salt, value = fields(each, "an opening", **kinds)
        try:
            raw = unhex(value) if held == "bytes" else value.encode()
            computed = commitment(kind, unhex(salt), raw)
        except ValueError:
            raise Refused("an opening has a malformed salt or value") from None
        if len(salt) != 32 or name != computed:
            raise Unproved(f"{shown(name)} does not open to what is said of it")
        if name in found:
            raise Refused(f"{shown(name)} is opened twice")
        found[name] = (kind, raw)
    return found


def texts(value: Any) -> Iterator[str]:
    """Every string in a leaf's body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def shown(value: object) -> str:
    """For a terminal: nothing that could command it."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "replace").decode()
        for sign in text
    )


# The bundle


class Bundle:
    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        manifest = archive.json("manifest.json")
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise Refused("its format is not known here")
        self.claim, files, _, self.count, self.origin, self.tree = fields(
            manifest,
            "the manifest",
            claim=dict,
            files=dict,
            format=str,
            leaves=int,
            origin=str,
            tree=dict,
        )
        if files.keys() != archive.members.keys() - {"manifest.json"}:
            raise Unproved("the manifest names other files than there are")
        for name, said in files.items():
            archive.check(name, said)
        try:
            text = archive.read("key.pub", MOST_SMALL).decode()
        except UnicodeDecodeError:
            raise Refused("key.pub is no text") from None
        self.keys = keys(text, "key.pub")
        self.lines: list[str] = []

    def check(self) -> list[str]:
        """Raises a Verdict, or returns in plain words what was proved."""
        self.checkpoints()
        kind = self.claim.get("kind")
        if kind == "period":
            self.period()
        elif kind == "case":
            self.case(self.inclusion())
        elif kind == "coverage":
            self.coverage(self.inclusion())
        else:
            raise Refused("what it claims is not known here")
        self.anchors()
        return self.lines

    def checkpoints(self) -> None:
        """All signed, each continuing the one before, the last as the manifest says."""
        if len({key.public for key in self.keys}) != 1:
            raise Unproved("key.pub has more than one key")
        found = []
        for name in self.archive.members:
            if name.startswith("checkpoints/"):
                checkpoint = opened_note(self.archive.read(name, MOST_SMALL), self.keys, name)
                if name != f"checkpoints/{checkpoint.size}.note":
                    raise Unproved(f"{name} is of {checkpoint.size} leaves")
                found.append(checkpoint)
        found.sort(key=lambda each: each.size)
        if not found:
            raise Refused("it has no checkpoint")
        if {each.origin for each in found} != {key.name for key in self.keys}:
            raise Unproved("key.pub names a log that no checkpoint is of")
        self.newest = newest = found[-1]
        tree = {"root": newest.root.hex(), "size": newest.size}
        if (self.tree, self.origin) != (tree, newest.origin):
            raise Unproved("the manifest speaks of another tree than its newest checkpoint")
        proofs = self.archive.json("proofs.json")
        if not isinstance(proofs, dict) or not isinstance(proofs.get("consistency"), list):
            raise Refused("proofs.json has no proofs of consistency")
        said = proofs["consistency"]
        if len(said) != len(found) - 1:
            raise Unproved("a proof of consistency is missing or too many")
        for older, newer, each in zip(found, found[1:], said, strict=False):
            old, new, path = fields(each, "a proof of consistency", old=int, new=int, path=list)
            if (old, new) != (older.size, newer.size) or not is_consistent(
                old, older.root, new, newer.root, hashes(path, "a proof of consistency")
            ):
                raise Unproved(
                    f"the checkpoint of {newer.size} leaves does not continue that of {older.size}"
                )
        self.proofs = proofs
        counted = "1 checkpoint" if len(found) == 1 else f"{len(found)} checkpoints"
        are = "is" if len(found) == 1 else "are"
        self.say(
            f"The log {shown(newest.origin)} signed {counted} that {are} here, the "
            f"newest of {newest.size} leaves, root {newest.root.hex()}."
        )
        if len(found) > 1:
            self.say(
                f"Each adds to the one before and changes nothing of it, from {found[0].size} "
                "leaves on."
            )
        for former in sorted({each.origin for each in found} - {newest.origin}):
            self.say(f"Some of them call the log {shown(former)}; the key is the same.")

    def inclusion(self) -> dict[int, Leaf]:
        """The leaves, each proved to be in the newest checkpoint's tree at its number."""
        said = fields(self.proofs, "proofs.json", consistency=list, inclusion=list)[1]
        leaves: dict[int, Leaf] = {}
        for encoded in self.archive.lines("leaves.jsonl"):
            if len(leaves) == len(said):
                raise Unproved("there are more leaves than proofs")
            leaf = read_leaf(encoded)
            index, path = fields(said[len(leaves)], "a proof", leaf=int, path=list)
            if index != leaf.seq or leaf.seq in leaves:
                raise Unproved(f"leaf {leaf.seq} has no proof of its own")
            proof = hashes(path, "a proof")
            newest = self.newest
            if not is_included(leaf_hash(encoded), index, newest.size, proof, newest.root):
                raise Unproved(f"leaf {leaf.seq} is not in the log")
            leaves[leaf.seq] = leaf
        if len(leaves) != len(said) or len(leaves) != self.count or not leaves:
            raise Unproved("there are fewer leaves than was said")
        self.say(f"{len(leaves)} leaves are in that tree, byte for byte, at the numbers they bear:")
        return leaves

    def period(self) -> None:
        said = fields(self.proofs, "proofs.json", consistency=list, range=dict)[1]
        kinds: dict[str, Any] = {"before": list, "first": int, "last": int, "path": list}
        before, first, last, path = fields(said, "the range", **kinds)
        _, *claimed = fields(self.claim, "the claim", kind=str, first=int, last=int)
        if claimed != [first, last] or not 0 <= first <= last or last - first + 1 != self.count:
            raise Unproved("the range is not the one that is claimed")
        tree = Grown(first, hashes(before, "the range"))
        counted: Counter[str] = Counter()
        begun = ended = ""
        for encoded in self.archive.lines("leaves.jsonl"):
            leaf = read_leaf(encoded)
            if leaf.seq != tree.size or leaf.seq > last:
                raise Unproved(f"leaf {tree.size} is missing, or others are in its place")
            tree.append(leaf_hash(encoded))
            counted[leaf.kind] += 1
            begun, ended = begun or leaf.at, leaf.at
        if tree.size != last + 1:
            raise Unproved(f"leaf {tree.size} is missing")
        proof = hashes(path, "the range")
        newest = self.newest
        if not is_consistent(tree.size, tree.root(), newest.size, newest.root, proof):
            raise Unproved("these leaves are not what the log had at these numbers")
        self.refuse_other("openings.json", "coverage.json")
        self.say(
            f"The log has at numbers {first} to {last} exactly these {self.count} leaves, byte for "
            f"byte; none between them is missing. The first says {begun}, the last {ended}:"
        )
        for kind, count in sorted(counted.items()):
            self.say(f"  {count:8} {shown(kind)}")
        self.say("Not proved: that no leaf of that time is before or after them.")

    def case(self, leaves: dict[int, Leaf]) -> None:
        _, case = fields(self.claim, "the claim", kind=str, case=str)
        for leaf in leaves.values():
            if leaf.body.get("case") != case:
                raise Unproved(f"leaf {leaf.seq} is not about {shown(case)}")
            self.say(f"  leaf {leaf.seq}, {leaf.at}: {shown(leaf.kind)}")
        self.refuse_other("coverage.json")
        self.say(f"All of them are about {shown(case)}.")
        if "openings.json" in self.archive.members:
            self.openings(leaves)
        self.say("Not proved: that there is no other leaf about it.")

    def coverage(self, leaves: dict[int, Leaf]) -> None:
        _, clip = fields(self.claim, "the claim", kind=str, clip=str)
        for name in ("openings.json", "coverage.json"):
            if name not in self.archive.members:
                raise Unproved(f"it has no {name}")
        looks = self.archive.json("coverage.json")
        if not isinstance(looks, list) or not looks:
            raise Unproved("coverage.json has no look at the clip")
        used: set[int] = set()
        for look in looks:
            used |= self.look(clip, look, leaves)
        if used != leaves.keys():
            raise Unproved("it has a leaf that no look at the clip is about")
        opened = self.openings(leaves)
        if clip not in opened or opened[clip][0] != "clip":
            raise Unproved("which clip it is about is not opened")
        self.say(
            "Not proved: that the log has no other leaf about these runs, which takes it back."
        )

    def look(self, clip: str, said: Any, leaves: dict[int, Leaf]) -> set[int]:
        """One run's look at the clip. Returns the leaves that it is told from."""
        kinds: dict[str, Any] = {"leaf": int | None, "run": str, "shard": dict | None}
        number, run, shard = fields(said, "a look", **kinds)
        of_run = {
            leaf.seq: leaf
            for leaf in leaves.values()
            if leaf.kind in RUN_KINDS and leaf.body.get("run") == run
        }
        started = [leaf for leaf in of_run.values() if leaf.kind == "run-started"]
        if len(started) != 1:
            raise Unproved(f"there is no leaf that says how {shown(run)} began")
        told = None
        if number is not None:
            leaf = leaves.get(number)
            if leaf is None or (leaf.kind, leaf.body.get("run")) != ("clip-scanned", run):
                raise Unproved(f"leaf {number} is no look of {shown(run)} at a clip")
            told = {name: leaf.body.get(name) for name in ("clip", "outcome", "reason", "version")}
        if shard is not None:
            line = self.line(shard, run, leaves)
            if told is not None and told != {name: line.get(name) for name in told}:
                raise Unproved("the shard says something else of the clip than its own leaf")
            told = line
        if told is None or told.get("clip") != clip:
            raise Unproved("a look is at another clip")
        lists = started[0].body.get("lists")
        named = lists.items() if isinstance(lists, dict) else ()
        self.say(
            f"  Run {shown(run)}, which began at {started[0].at}, looked at the clip "
            f"{shown(clip)} in version {shown(told['version'])}."
        )
        reason = f" ({shown(told['reason'])})" if told["reason"] else ""
        self.say(f"  Outcome: {shown(told['outcome'])}{reason}.")
        self.say(f"  Lists: {', '.join(shown(f'{name} {version}') for name, version in named)}.")
        for leaf in of_run.values():
            if leaf.kind == "run-finished":
                self.say(f"  The run finished; its canary was {shown(leaf.body.get('canary'))}.")
            elif leaf.kind != "run-started":
                self.say(f"  NOTE: {shown(leaf.kind)}, leaf {leaf.seq}: the run did not end well.")
        if shard is not None:
            self.say(f"  The shard's root, leaf {shard['leaf']}, has this outcome among its clips.")
        shards = set() if shard is None else {shard["leaf"]}
        return {*of_run, *shards, *({number} - {None})}

    def line(self, shard: Any, run: str, leaves: dict[int, Leaf]) -> dict[str, Any]:
        """The clip's line, proved to be among those of its shard's root."""
        kinds: dict[str, Any] = {"clips": int, "index": int, "leaf": int, "line": str, "path": list}
        clips, index, number, text, path = fields(shard, "a shard", **kinds)
        leaf = leaves.get(number)
        if leaf is None or leaf.kind not in SHARD_KINDS or leaf.body.get("run") != run:
            raise Unproved(f"leaf {number} is no shard of {shown(run)}")
        root = leaf.body.get("root")
        if not isinstance(root, str) or not HASH.fullmatch(root) or leaf.body.get("clips") != clips:
            raise Unproved(f"leaf {number} is not of {clips} clips")
        encoded, proof = text.encode(), hashes(path, "a shard")
        if not is_included(leaf_hash(encoded), index, clips, proof, bytes.fromhex(root)):
            raise Unproved(f"what is said of the clip is not in the shard of leaf {number}")
        line = parsed(encoded, "a shard's line")
        fields(
            line,
            "a shard's line",
            clip=str,
            outcome=str,
            reason=str | None,
            recipes=list,
            version=str,
        )
        return line  # type: ignore[no-any-return]

    def openings(self, leaves: dict[int, Leaf]) -> dict[str, tuple[str, bytes]]:
        opened = read_openings(self.archive.json("openings.json"))
        named = {text for leaf in leaves.values() for text in texts(leaf.body)}
        if "coverage.json" in self.archive.members:
            for look in self.archive.json("coverage.json"):
                if look["shard"] is not None:
                    named.update(texts(parsed(look["shard"]["line"].encode(), "a line")))
        for name, (kind, value) in sorted(opened.items()):
            if name not in named:
                raise Unproved(f"no leaf names {shown(name)}")
            self.say(f"  {shown(name)} is the {shown(kind)} {shown(value)}")
        return opened

    def refuse_other(self, *names: str) -> None:
        for name in names:
            if name in self.archive.members:
                raise Unproved(f"what it claims needs no {name}")

    def anchors(self) -> None:
        for name in self.archive.members:
            if name.startswith("anchors/"):
                size, _, kind = name.removeprefix("anchors/").partition(".")
                if f"checkpoints/{size}.note" not in self.archive.members:
                    raise Unproved(f"{name} is of a checkpoint that is not here")
                self.say(f"Not checked here: {name}, a receipt for checkpoints/{size}.note.")
                if kind == "timestamp":
                    self.say(
                        f"  After unpacking: openssl ts -verify -token_in -in {name} "
                        f"-data checkpoints/{size}.note -CAfile AUTHORITY.pem"
                    )

    def say(self, line: str) -> None:
        self.lines.append(line)


def confirm(bundle: Bundle, given: list[Key]) -> None:
    """That the log's key is one that the caller has from elsewhere."""
    if not {(key.name, key.public) for key in bundle.keys} & {(k.name, k.public) for k in given}:
        ours, theirs = ", ".join(map(str, given)), ", ".join(map(str, bundle.keys))
        raise OtherLog(f"it is of another log, or signed with another key: {theirs}, not {ours}")


def given_keys(text: str | None) -> list[Key] | None:
    if text is None:
        return None
    if text.count("+") < 2 or Path(text).is_file():
        try:
            text = Path(text).read_text("utf-8")
        except (OSError, ValueError):
            raise Refused(f"--key: {shown(text)} is neither a key nor a readable file") from None
    return keys("\n".join(text.split()) + "\n", "--key")


def verify(path: Path, key: str | None) -> int:
    given = given_keys(key)
    bundle = Bundle(Archive(path))
    if given is not None:
        confirm(bundle, given)
    for line in bundle.check():
        print(line)
    if given is not None:
        print("VERIFIED under the key that you named.")
        return 0
    print(
        "WARNING: KEY NOT CONFIRMED. All holds under the key in the bundle itself, which whoever made\n"
        "the bundle chose. Compare it with the log's key as you know it from elsewhere, or name that\n"
        "one by --key:\n  " + "\n  ".join(map(str, bundle.keys)),
        file=sys.stderr,
    )
    return 4


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", metavar="VERIFIERKEY|FILE", help="the log's public key")
    options = parser.parse_args(arguments)
    try:
        return verify(options.bundle, options.key)
    except Verdict as verdict:
        print(f"NOT VERIFIED: {verdict}", file=sys.stderr)
        return verdict.code
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        print(f"NOT VERIFIED: it cannot be read as a zip file: {shown(error)}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
