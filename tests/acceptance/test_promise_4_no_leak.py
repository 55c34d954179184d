"""Promise 4: no listed hash, no frame hash and no digest of a match is ever said, in whatever form;
of a clip that did not match, nothing says how close it came. Logs and leaves name no clip.

One installation is taken through every command that there is, and all that they said is searched.
`hashmatch hash` is left out: it prints the hashes of a file of one's own, and looks at no list.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import click
import pyrage
import pytest
from drawn import write_clip
from installation import Installation, vpdq_lines
from lists_parts import pdq_hash, write_csv
from shard_parts import committed

from hashmatch import access
from hashmatch.audit.keys import load_id_key
from hashmatch.audit.names import KeyedNames
from hashmatch.cli.main import cli
from hashmatch.hashing.packing import unpack

DIGEST, FRAMES, OWN_ID, LATER = (
    f"2026/{name}.mp4" for name in ("alice-digest", "bob-frames", "carol-own-id", "dora-later")
)
NEAR, CLEAN = "2026/erin-near.mp4", "2026/fred-clean.mp4"
BROKEN, LINK = "2026/gina-broken.mp4", "2026/hugo-link.mp4"
SCENES = {DIGEST: 11, FRAMES: 12, OWN_ID: 13, LATER: 14, NEAR: 15, CLEAN: 16}
NAMES = [key.removeprefix("2026/").removesuffix(".mp4") for key in (*SCENES, BROKEN, LINK)]
SIZE = {"width": 192, "height": 144, "seconds": 0.5}
DISTANCES = (36, 44, 56)


@dataclass
class Evidence:
    """What was said, in the order of the commands, and the hashes that must not be in it."""

    hashmatch: Installation
    secrets: set[bytes] = field(default_factory=set)
    said: list[subprocess.CompletedProcess[str]] = field(default_factory=list)

    def run(self, *command: str, code: int | Sequence[int] = 0) -> None:
        """In a process of its own: what a child or a library prints is heard too."""
        self.said.append(self.hashmatch.run(*command, code=code))

    def here(self, *command: str, code: int | Sequence[int] = 0) -> None:
        self.said.append(self.hashmatch.run(*command, code=code))

    def of(self, *command: str) -> list[subprocess.CompletedProcess[str]]:
        return [one for one in self.said if tuple(one.args[: len(command)]) == command]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with sqlite3.connect(f"file:{self.hashmatch.home}/hashmatch.db?mode=ro", uri=True) as db:
            return db.execute(query).fetchall()

    @property
    def leaves(self) -> list[dict[str, object]]:
        return [json.loads(str(body, "utf-8")) for (body,) in self.rows("select body from leaf")]

    @property
    def metrics(self) -> str:
        return (self.hashmatch.home / "metrics" / "hashmatch.prom").read_text()

    @property
    def logs(self) -> list[dict[str, object]]:
        runs = self.of("scan") + self.of("rescan")
        return [json.loads(line) for run in runs for line in run.stderr.splitlines()]


def reference(clip: Path) -> list[tuple[str, str, str]]:
    """(time, quality, hash) of each frame, by the reference implementation."""
    lines = (line.strip().split(",") for line in vpdq_lines(clip))
    return [(time, quality, text) for _, quality, text, time in lines]


def altered(text: str, distance: int) -> str:
    """A hash at that distance which, as real ones have it, has as many bits set as before."""
    bits = int(text, 16)
    chance = random.Random(distance)
    for value in (0, 1):
        places = [i for i in range(256) if bits >> i & 1 == value]
        for place in chance.sample(places, distance // 2):
            bits ^= 1 << place
    return f"{bits:064x}"


def apart(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


def video(name: str, clip: Path) -> list[dict[str, str]]:
    return [
        {"algorithm": "pdq", "hash": text, "group": name, "timestamp": time, "quality": quality}
        for time, quality, text in reference(clip)
    ]


def named_by_itself(text: str, algorithm: str) -> dict[str, str]:
    return {"entry_id": text.upper(), "algorithm": algorithm, "hash": text}


def partners_lists(home: Path, drawn: dict[str, Path]) -> tuple[Path, Path, Path]:
    """Two versions of one list, and a vPDQ file that is called after a hash."""
    content = drawn[DIGEST].read_bytes()
    own = [text for _, _, text in reference(drawn[OWN_ID])]
    middle = reference(drawn[NEAR])[7][2]
    rows = [
        *(
            {
                "entry_id": "file-1",
                "algorithm": name,
                "hash": hashlib.new(name, content).hexdigest(),
            }
            for name in ("md5", "sha1", "sha256")
        ),
        *video("video-1", drawn[FRAMES]),
        *(named_by_itself(text, "pdq") for text in own[3::4]),
        named_by_itself(f"{random.Random(1).getrandbits(128):032x}", "md5"),
        named_by_itself(f"{random.Random(2).getrandbits(64):016x}", "dhash"),
        {"algorithm": "pdq", "hash": pdq_hash(1)},
        *(
            {"entry_id": f"near-{n}", "algorithm": "pdq", "hash": altered(middle, n)}
            for n in DISTANCES
        ),
    ]
    first = write_csv(home / "november.csv", rows)
    later = [*rows[1:], named_by_itself(pdq_hash(2), "pdq"), *video("video-2", drawn[LATER])]
    second = write_csv(home / "december.csv", later)
    lines = home / f"{pdq_hash(3).upper()}.txt"
    lines.write_text("".join(f"{n},90,{pdq_hash(n + 4)},{n}.5\n" for n in range(3)))
    return first, second, lines


def bad_deliveries(folder: Path, text: str) -> Iterator[tuple[str, ...]]:
    """What to give to `lists import`, each with that hash somewhere in it, and each refused."""
    folder.mkdir()

    def file(content: str | bytes, name: str = "list.csv") -> str:
        path = folder / str(len(list(folder.iterdir()))) / name
        path.parent.mkdir()
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    header = "entry_id,algorithm,hash,media,group,timestamp,quality,classification\n"
    rows = (
        f"a,{text},{text},,,,,\n",
        f"a,pdq,{text},{text},,,,\n",
        f"a,pdq,{text},,g,{text},,\n",
        f"a,pdq,{text},,,,{text},\n",
        f"a,pdq,{text},,,,,{text}\n",
        f"{text * 4},pdq,{text},,,,,\n",
        f"a,pdq,{text}0,,,,,\n",
        f"a,pdq,{text[:-1]}g,,,,,\n",
        f"a,pdq,{text}\n",
        f'a,pdq,"{text},,,,,\n',
        f"{text},pdq,{text},,,,,\n{text},pdq,{text[::-1]},,,,,\n",
    )
    yield (file(header + "".join(rows)),)
    yield (file(f"{text},{text}\n"),)
    yield (file(f"{text},{text}\n"), "--format", "csv")
    yield (file(f"{header}a,pdq,{text},,,,,\nb,pdq,{text[:-9]}"),)
    yield (file(f"{header}a,pdq,{text},,,,,caf\xe9\n".encode("latin-1")),)
    yield (file(f"a\rpdq {text}\n"), "--format", "lines")
    yield (file(f"pdq {text}0\n{text} {text}\n"), "--format", "lines")
    yield (file(f'{{"hash": "{text}", "media": "{text}"}}\n{{"hash": "{text}\n'),)
    yield (file(f'{{"hash": "{text}", "entry_id": ["{text}"]}}\n'), "--algorithm", "md5")
    yield (file(f"0,90,{text}0,0.0\n1,{text},{text},1\n", f"{text}.txt"), "--format", "vpdq")
    same = (file(f"0,90,{text},0.0\n", f"{text}.txt") for _ in range(2))
    yield (*same, "--format", "vpdq")
    yield (file("", f"{text}.csv"),)
    yield (file(f"pdq {text}\n"), "--sha256", "0" * 64)
    (folder / text).mkdir()
    yield (str(folder / text),)


def digests(content: bytes) -> Iterator[bytes]:
    for name in ("md5", "sha1", "sha256"):
        yield hashlib.new(name, content).digest()


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    home = tmp_path_factory.mktemp("home")
    hashmatch = Installation(
        home,
        environment={
            "HASHMATCH_REPORT__METRICS": "metrics/hashmatch.prom",
            "HASHMATCH_CLIPS__FEED": "feed.ndjson",
        },
    )
    evidence = Evidence(hashmatch)
    drawn = {}
    outside = home / "outside"
    (hashmatch.clips / "2026").mkdir(parents=True)
    outside.mkdir()
    for key, seed in SCENES.items():
        drawn[key] = outside / Path(key).name
        write_clip(drawn[key], seed=seed, **SIZE)
        shutil.copy(drawn[key], hashmatch.clips / key)
    unrelated = outside / "unrelated.mp4"
    write_clip(unrelated, seed=17, **SIZE)
    (hashmatch.clips / BROKEN).write_bytes(b"\0\0\0\x18ftypmp42" + bytes(500))
    (hashmatch.clips / LINK).symlink_to(unrelated)
    feed = [{"key": key, "id": f"id of {key}", "channel": f"channel of {key}"} for key in SCENES]
    (home / "feed.ndjson").write_text("".join(f"{json.dumps(line)}\n" for line in feed))
    first, second, lines = partners_lists(home, drawn)

    evidence.run("init", ".")
    evidence.run("lists", "import", "partner", str(first))
    evidence.run("lists", "import", "videos", str(lines), "--format", "vpdq")
    evidence.run("lists", "activate", "partner", "1")
    evidence.run("lists", "activate", "videos", "1")
    evidence.run("scan", "--json", code=10)
    evidence.run("lists", "import", "partner", str(second))
    for options in ((), ("--limit", "0", "--json")):
        evidence.run("lists", "diff", "partner", *options)
    evidence.run("lists", "activate", "partner", "2")
    evidence.run("rescan", "--stored", code=10)

    files = [str(path) for path in (*drawn.values(), unrelated)]
    evidence.run("check", *files, "--json")
    evidence.run("check", *files)
    evidence.run("check", *files, "--list", str(second))
    evidence.run("help", "settings")
    evidence.run("doctor", "--json")
    evidence.run("doctor")
    for reading in (
        ("runs", "list"),
        ("runs", "show"),
        ("review", "list"),
        ("review", "entries"),
        ("quarantine", "list"),
        ("quarantine", "verify"),
        ("audit", "verify"),
        ("lists", "list"),
        ("lists", "show", "partner"),
        ("lists", "show", "videos"),
        ("config", "show"),
    ):
        evidence.run(*reading)
        evidence.run(*reading, "--json")
    first_run = evidence.rows("select id from run order by started_at limit 1")[0][0]
    evidence.run("runs", "show", str(first_run), "--json")
    for (case,) in evidence.rows("select id from 'case'"):
        evidence.run("quarantine", "show", str(case))
        evidence.run("quarantine", "show", str(case), "--json")
        evidence.run("audit", "prove", str(case))
        evidence.run("audit", "export", "--case", str(case), "--json")
    evidence.run("audit", "export", "--from", "2020-01-01", "--to", "2199-12-31")

    decides_about_cases(evidence, home)

    own = reference(drawn[OWN_ID])[3][2]
    evidence.run("review", "show", own, code=26)
    evidence.run("review", "confirm", own, code=26)
    evidence.run("review", "reject", own, "--reason", "another film", code=26)
    evidence.run("review", "reject", own, "--reason", f"it is {own}", code=26)
    evidence.run("review", "trust", "partner", own, "--reason", "corrected", code=26)
    evidence.run("review", "trust", "partner", own, "--reason", f"it is {own}", code=26)
    evidence.run("review", "export", "--out", str(home / "feedback.csv"))
    evidence.run("lists", "disable", "partner", own, "--reason", f"it is {own}", code=30)
    evidence.run("lists", "disable", "partner", own.upper(), "--reason", "our own opening")
    evidence.run("lists", "show", "partner")
    evidence.run("lists", "enable", "partner", own)
    for command in (("disable", "--reason", "why"), ("enable",)):
        evidence.run("lists", command[0], "partner", pdq_hash(99), *command[1:], code=30)
    evidence.run("lists", "show", own, code=30)
    evidence.run("lists", "import", own, str(first), code=30)
    for delivery in bad_deliveries(home / "bad", own):
        evidence.run("lists", "import", "partner", *delivery, code=(2, 30, 31, 32))
    evidence.run("lists", "set", "partner", "--action", "review")
    evidence.run("lists", "rollback", "partner")
    evidence.run("lists", "deactivate", "partner")
    evidence.run("lists", "remove", own, "--reason", f"it is {own}", code=30)
    evidence.run("db", "upgrade")
    evidence.run("audit", "verify-bundle", str(first), code=3)
    evidence.run("audit", "checkpoint")
    evidence.run("audit", "key")
    for options in ((), ("--json",)):
        evidence.run("audit", "show", "--last", "500", *options)

    for path in (*drawn.values(), unrelated):
        evidence.secrets.update(digests(path.read_bytes()))
        evidence.secrets.update(bytes.fromhex(text) for _, _, text in reference(path))
    for (packed,) in evidence.rows("select frames from fingerprint where length(frames) > 0"):
        for frame in unpack(bytes(packed)).bits:  # type: ignore[call-overload]
            evidence.secrets.update(variant.tobytes() for variant in frame)
    for path in (first, second, lines):
        found = re.findall(r"\b[0-9a-f]{16,}\b", path.read_text())
        evidence.secrets.update(bytes.fromhex(text) for text in found)
    evidence.secrets.update({bytes.fromhex(pdq_hash(3)), bytes.fromhex(pdq_hash(99))})
    return evidence


def decides_about_cases(evidence: Evidence, home: Path) -> None:
    """All that custodians can be told: what is asked and confirmed, what is refused, and why."""
    hashmatch = evidence.hashmatch
    roles = {
        f"HASHMATCH_PEOPLE__{role}": '["ann", "bob"]'
        for role in ("OPERATORS", "REVIEWERS", "CUSTODIANS", "AUDITORS")
    }
    roles["HASHMATCH_CUSTODY__JURISDICTIONS"] = '["US"]'
    case = str(evidence.rows("select id from 'case' order by id limit 1")[0][0])
    opened = {
        file.name: pyrage.decrypt(file.read_bytes(), [hashmatch.custodian])
        for file in hashmatch.vault.rglob("*.key.age")
    }
    key = home / "case.key"
    key.write_bytes(opened[f"{case}.key.age"])
    drafts = home / "drafts"
    drafts.mkdir()
    with mock.patch.dict(hashmatch.environment, roles), mock.patch.object(access, "account") as who:
        who.return_value = "ann"

        def does(*command: str, code: int = 0) -> None:
            evidence.run("quarantine", *command, code=code)

        why = ("--reason", "a test")
        does("hold", case, *why)
        does("release", case, *why, code=22)
        does("lift", case, *why)
        does("report", case, "--reference", "CyberTip 1")
        does("export", case, "--out", str(drafts))
        does("due")
        does("due", "--json")
        does("destroy", case, *why, code=22)
        does("forget", case, *why, code=22)
        does("certificate", case, code=22)
        does("key", "case-of-nobody", code=22)
        does("open", case, *why, "--to", str(home / "seen.mp4"), "--identity", "none", code=22)
        does("open", case, *why, "--to", str(home / "seen.mp4"), "--case-key", str(key), code=22)
        does("rewrap", case, "--case-key", str(key))
        does("release", case, *why)
        does("cancel", case)
        does("release", case, *why)
        does("requests")
        does("requests", "--json")
        does("confirm", case, "--case-key", str(key), code=22)
        who.return_value = "bob"
        does("confirm", case, "--case-key", str(key))
        does("resume")
        does("show", case)
    for draft in drafts.iterdir():
        evidence.said.append(subprocess.CompletedProcess(("draft",), 0, draft.read_text(), ""))


def windows(text: str) -> set[str]:
    """Every sixteen hexadecimal digits in a row: what a half or a quarter of a hash would show."""
    runs: list[str] = re.findall("[0-9a-f]{16,}", text.lower())
    return {run[i : i + 16] for run in runs for i in range(len(run) - 15)}


def leaks(text: str, secrets: Iterable[bytes]) -> bool:
    """Whether any of the hashes is there: 16 of its digits in any case, or its base64."""
    shown = windows(text)
    return any(
        windows(bits.hex()) & shown
        or base64.b64encode(bits).decode().rstrip("=") in text
        or base64.urlsafe_b64encode(bits).decode().rstrip("=") in text
        for bits in secrets
    )


def commands(group: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if not isinstance(group, click.Group):
        yield path
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from commands(command, (*path, name))


def test_the_clips_are_what_this_is_about(evidence: Evidence) -> None:
    """Matched in every way there is, near, clean and broken: else the silence proves nothing."""
    run = json.loads(evidence.of("scan")[0].stdout)
    assert run["outcomes"] == {
        "matched": 3, "review": 0, "clean": 3, "partial": 0, "unscannable": 1
    }  # fmt: skip
    checked = json.loads(evidence.of("check")[0].stdout)
    found = {Path(one["path"]).name: one for one in checked}
    for key, kind in (
        (DIGEST, None),
        (FRAMES, "sequence"),
        (OWN_ID, "frames"),
        (LATER, "sequence"),
    ):
        assert kind in [None, *(match["kind"] for match in found[Path(key).name]["matches"])], key
    clip = evidence.hashmatch.home / "outside" / Path(NEAR).name
    texts = [text for _, _, text in reference(clip)]
    near = [min(apart(altered(texts[7], n), text) for text in texts) for n in DISTANCES]
    assert all(32 <= distance <= 60 for distance in near), near


def test_every_command_is_among_them(evidence: Evidence) -> None:
    assert [name for name in commands() if not evidence.of(*name)] == [("hash",)]


@pytest.mark.parametrize(
    "wrap",
    [
        bytes.hex,
        lambda bits: bits[8:16].hex().upper(),
        base64.b64encode,
        base64.urlsafe_b64encode,
    ],
    ids=["hexadecimal", "a quarter, in capitals", "base64", "base64 for addresses"],
)
def test_the_search_finds_a_hash_however_it_is_written(wrap) -> None:
    bits = random.Random(5).randbytes(32)
    written = wrap(bits)
    text = written if isinstance(written, str) else written.decode().rstrip("=")
    assert leaks(f"entry {text}: at 3 s", [random.Random(6).randbytes(16), bits])
    assert not leaks(f"entry {text}: at 3 s", [random.Random(7).randbytes(32)])


def test_no_command_says_a_hash(evidence: Evidence) -> None:
    assert len(evidence.secrets) > 100
    for one in evidence.said:
        assert not leaks(one.stdout, evidence.secrets), f"stdout of {one.args}:\n{one.stdout}"
        assert not leaks(one.stderr, evidence.secrets), f"stderr of {one.args}:\n{one.stderr}"


def test_no_hash_is_in_the_metrics_or_in_a_leaf(evidence: Evidence) -> None:
    assert not leaks(evidence.metrics, evidence.secrets)
    for leaf in evidence.leaves:
        assert not leaks(json.dumps(leaf), evidence.secrets), leaf


def test_no_hash_is_in_a_bundle(evidence: Evidence) -> None:
    bundles = list(evidence.hashmatch.home.glob("*.zip"))
    assert len(bundles) == 2 * len(evidence.rows("select id from 'case'")) + 1
    for bundle in bundles:
        # As text: what is not compressed is there as it is.
        assert not leaks(bundle.read_bytes().decode("latin-1"), evidence.secrets), bundle


def test_logs_metrics_and_leaves_name_no_clip(evidence: Evidence) -> None:
    assert {line["outcome"] for line in evidence.logs if "outcome" in line} == {
        "matched",
        "clean",
        "unscannable",
    }
    places = {"metrics": evidence.metrics, "leaves": json.dumps(evidence.leaves)}
    places |= {
        f"log of {run.args}": run.stderr for run in evidence.of("scan") + evidence.of("rescan")
    }
    for place, text in places.items():
        assert [name for name in NAMES if name in text] == [], place


def test_nothing_says_how_near_a_clean_clip_came(evidence: Evidence) -> None:
    """A look at a near miss and one at an unrelated clip differ in the clip's name only."""
    as_json, *as_texts = evidence.of("check")  # with the active lists, with a list given as a file
    paths = [str(evidence.hashmatch.home / "outside" / f"{name}.mp4") for name in
             ("erin-near", "fred-clean", "unrelated")]  # fmt: skip
    objects = re.findall(r"^  \{.*?^  \}", as_json.stdout, re.MULTILINE | re.DOTALL)
    said = [one.replace(path, "PATH") for path in paths for one in objects if path in one]
    assert len(said) == 3
    assert len(set(said)) == 1
    assert '"clean"' in said[0]
    assert len(as_texts) == 2
    for as_text in as_texts:
        lines = [line.replace(path, "PATH") for path in paths
                 for line in as_text.stdout.splitlines() if path in line]  # fmt: skip
        assert len(lines) == 3
        assert len(set(lines)) == 1


def test_no_record_says_how_near_a_clean_clip_came(evidence: Evidence) -> None:
    names = KeyedNames(load_id_key(evidence.hashmatch.home / "keys" / "id.key"))
    near, clean = names.clip(NEAR), names.clip(CLEAN)

    def committed_to(key: str) -> tuple[str, str]:
        """The names of a clip and its version in the log, which are random."""
        known = "select key, salt, scanned_etag from clip"
        ((salt, etag),) = [(salt, etag) for name, salt, etag in evidence.rows(known) if name == key]
        return committed("clip", salt, key), committed("version", salt, etag)

    def of(clip: str, records: Iterable[object]) -> list[str]:
        texts = (json.dumps(record, sort_keys=True) for record in records)
        return [text.replace(clip, "CLIP") for text in texts if clip in text]

    logs = [{**line, "time": None} for line in evidence.logs]
    assert len(of(near, logs)) == 1
    assert of(near, logs) == of(clean, logs)
    bodies = [leaf["body"] for leaf in evidence.leaves if leaf["kind"] == "clip-scanned"]
    (near_name, near_version), (clean_name, clean_version) = map(committed_to, (NEAR, CLEAN))
    said, others = of(near_name, bodies), of(clean_name, bodies)
    assert len(said) == 1
    assert [text.replace(near_version, "VERSION") for text in said] == [
        text.replace(clean_version, "VERSION") for text in others
    ]
    matched = {
        key for (key,) in evidence.rows("select key from clip join match on clip_id = clip.id")
    }
    assert matched == {DIGEST, FRAMES, OWN_ID, LATER}
