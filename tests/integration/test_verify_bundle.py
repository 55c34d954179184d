"""scripts/verify_bundle.py on somebody else's machine: no changed bundle passes, none is a traceback."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date
from itertools import product
from pathlib import Path

import pytest
import rfc8785
from audit_parts import (
    AT,
    KEY,
    ORIGIN,
    OTHER_KEY,
    SCRIPT,
    VERIFIER,
    Night,
    verifier,
    verify_elsewhere,
)
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hashmatch.audit import bundle, claims, standalone
from hashmatch.audit.bundle import export
from hashmatch.audit.checkpoint import Checkpoint, sign, verifier_key
from hashmatch.audit.claims import Opening
from hashmatch.cli.main import cli
from hashmatch.db.schema import AnchorRow
from hashmatch.db.session import Database

OTHER = verifier_key(ORIGIN, OTHER_KEY.public_key())
LATER = AT.replace(day=28)
CLIPS = {f"clip {n}.mp4": "clean" for n in range(5)} | {"matched.mp4": "matched"}
Members = dict[str, bytes]


def made(db: Database, folder: Path) -> dict[str, Path]:
    """One bundle of each kind, of one log."""
    night = Night(db).import_list().scan("run-1", CLIPS)
    night.sign()
    case = night.case("matched.mp4")
    night.sign()
    night.hold(case, "alice", "a court asked")
    night.scan("run-2", {"clip 1.mp4": "partial"})
    note = night.sign()
    with db.write() as session:
        size = int(note.split("\n")[1])
        token = AnchorRow(size=size, kind="timestamp", tried_at=AT, attempts=1, receipt=b"token")
        session.add(token)
    day = date(2026, 11, 22)
    wanted = {
        "proof": lambda session: claims.of_case(session, case, openings=False),
        "case": lambda session: claims.of_case(session, case, openings=True),
        "period": lambda session: claims.of_period(session, day, day),
        "coverage": lambda session: claims.of_coverage(session, "clip 1.mp4", day),
    }
    files = {}
    for kind, claim in wanted.items():
        files[kind] = folder / f"{kind}.zip"
        export(db, KEY.public_key(), claim, files[kind], {}, by="bob", at=LATER)
    return files


@pytest.fixture(scope="module")
def bundles(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    shutil.copy(sqlite_template, folder / "hashmatch.db")
    db = Database.connect("sqlite:///hashmatch.db", folder)
    files = made(db, folder)
    db.close()
    return files


def test_the_installed_command_is_the_script_with_its_words_and_exit_codes(bundles, tmp_path):
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(bundles["case"].read_bytes()[:-100])
    for file, options, code in (
        (bundles["case"], ["--key", VERIFIER], 0),
        (bundles["case"], [], 4),
        (bundles["coverage"], ["--key", OTHER], 5),
        (damaged, ["--key", VERIFIER], 3),
    ):
        alone = verify_elsewhere(file, *options, code=code)
        ours = CliRunner().invoke(cli, ["audit", "verify-bundle", *options, str(file)])
        assert (ours.exit_code, ours.stdout, ours.stderr) == (code, alone.stdout, alone.stderr)
    assert standalone.script() == SCRIPT, "there is one source"


KINDS = ("proof", "case", "period", "coverage")


def members(file: Path) -> Members:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: Members, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file


def sealed(content: Members) -> Members:
    """With a manifest that names the members as they are now, as a forger would have it."""
    manifest = json.loads(content["manifest.json"])
    manifest["files"] = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
        if name != "manifest.json"
    }
    return {**content, "manifest.json": rfc8785.dumps(manifest) + b"\n"}


def outcome(
    file: Path, capsys: pytest.CaptureFixture[str] | None = None, key: str = VERIFIER
) -> int:
    """The exit code, in this process."""
    argv = sys.argv
    sys.argv = ["verify_bundle.py", "--key", key, str(file)]
    try:
        return verifier().main()
    finally:
        sys.argv = argv


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bundle_is_verified(bundles: dict[str, Path], kind: str) -> None:
    assert "VERIFIED" in verify_elsewhere(bundles[kind], "--key", VERIFIER).stdout
    assert outcome(packed(members(bundles[kind]), bundles[kind].with_suffix(".again"))) == 0


# The key


def test_without_a_key_all_is_checked_and_the_key_is_not_called_confirmed(
    bundles: dict[str, Path],
) -> None:
    done = verify_elsewhere(bundles["case"], code=4)
    assert "KEY NOT CONFIRMED" in done.stderr
    assert "+".join(VERIFIER.split("+")[:2]) in done.stderr
    assert "VERIFIED under" not in done.stdout


def test_the_key_may_be_in_a_file(bundles: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "log.pub").write_text(VERIFIER + "\n")
    verify_elsewhere(bundles["case"], "--key", str(tmp_path / "log.pub"))
    for wrong in ("nowhere", str(tmp_path)):
        done = verify_elsewhere(bundles["case"], "--key", wrong, code=3)
        assert "neither a key nor a readable file" in done.stderr
    (tmp_path / "log.pub").write_text(VERIFIER[:-4] + "AAAA\n")
    done = verify_elsewhere(bundles["case"], "--key", str(tmp_path / "log.pub"), code=3)
    assert "no Ed25519 verifier key" in done.stderr


def test_a_bundle_of_another_installation_is_said_to_be_one(bundles: dict[str, Path]) -> None:
    done = verify_elsewhere(bundles["case"], "--key", OTHER, code=5)
    assert "of another log, or signed with another key" in done.stderr
    renamed = verifier_key("other.example/log", KEY.public_key())
    verify_elsewhere(bundles["case"], "--key", renamed, code=5)


def test_a_bundle_signed_anew_by_a_forger_does_not_pass(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    content = members(bundles["proof"])
    content["key.pub"] = OTHER.encode() + b"\n"
    for name in list(content):
        if name.startswith("checkpoints/"):
            said = content[name].decode().rpartition("\n\n")[0] + "\n"
            content[name] = sign(said, ORIGIN, OTHER_KEY).encode()
    file = packed(sealed(content), tmp_path / "a.zip")
    assert outcome(file) == 5
    assert "KEY NOT CONFIRMED" in verify_elsewhere(file, code=4).stderr
    # Under the log's own key in key.pub, the forger's signatures do not hold.
    content["key.pub"] = members(bundles["proof"])["key.pub"]
    assert outcome(packed(sealed(content), tmp_path / "b.zip")) == 1
    # Two keys, of which one is the right one, are one too many.
    content["key.pub"] += OTHER.encode() + b"\n"
    assert outcome(packed(sealed(content), tmp_path / "c.zip")) == 1


# Changes


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60)
def test_no_changed_byte_of_any_member_is_verified(
    bundles: dict[str, Path], kind: str, data: st.DataObject
) -> None:
    content = members(bundles[kind])
    name = data.draw(st.sampled_from(sorted(content)))
    at = data.draw(st.integers(0, len(content[name]) - 1))
    new = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[name][at]))
    content[name] = content[name][:at] + bytes([new]) + content[name][at + 1 :]
    assert outcome(packed(content, bundles[kind].with_suffix(".bent"))) in (1, 3, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_of_the_small_members_is_verified(
    bundles: dict[str, Path], kind: str
) -> None:
    content = members(bundles[kind])
    for name, bit in product(("manifest.json", "key.pub", "openings.json"), (0x01, 0x20)):
        for at in range(len(content.get(name, b""))):
            bent = bytearray(content[name])
            bent[at] ^= bit
            changed = {**content, name: bytes(bent)}
            if name != "manifest.json":
                changed = sealed(changed)
            file = packed(changed, bundles[kind].with_suffix(".bent"))
            assert outcome(file) in (1, 3, 5), (name, at)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60)
def test_no_changed_byte_is_verified_under_a_new_manifest(
    bundles: dict[str, Path], kind: str, data: st.DataObject
) -> None:
    content = members(bundles[kind])
    # A receipt of an anchor is for its authority's own tools to check.
    names = [n for n in content if n != "manifest.json" and not n.startswith("anchors/")]
    name = data.draw(st.sampled_from(sorted(names)))
    at = data.draw(st.integers(0, len(content[name]) - 1))
    bent = bytearray(content[name])
    bent[at] ^= data.draw(st.integers(1, 255))
    file = packed(sealed({**content, name: bytes(bent)}), bundles[kind].with_suffix(".bent"))
    assert outcome(file) in (1, 3, 5)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60)
def test_a_damaged_archive_is_refused_or_still_has_the_same_members(
    bundles: dict[str, Path], kind: str, data: st.DataObject
) -> None:
    raw = bytearray(bundles[kind].read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1) | st.integers(len(raw) - 400, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    file = bundles[kind].with_suffix(".bent")
    file.write_bytes(raw)
    if outcome(file) == 0:
        assert members(file) == members(bundles[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_that_is_cut_off_is_refused(bundles: dict[str, Path], kind: str) -> None:
    raw = bundles[kind].read_bytes()
    file = bundles[kind].with_suffix(".cut")
    for length in range(0, len(raw), 97):
        file.write_bytes(raw[:length])
        assert outcome(file) == 3


def without(name: str) -> Callable[[Members], None]:
    def change(content: Members) -> None:
        del content[next(each for each in content if each.startswith(name))]

    return change


def jsons(name: str, change: Callable[[object], object]) -> Callable[[Members], None]:
    def apply(content: Members) -> None:
        value = json.loads(content[name])
        changed = change(value)
        content[name] = rfc8785.dumps(changed if isinstance(changed, list) else value) + b"\n"

    return apply


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Members], None]:
    def apply(content: Members) -> None:
        changed = change(content["leaves.jsonl"].splitlines(keepends=True))
        content["leaves.jsonl"] = b"".join(changed)

    return apply


def spaced(content: Members) -> None:
    content["proofs.json"] = json.dumps(json.loads(content["proofs.json"])).encode() + b"\n"


def other_checkpoint(content: Members) -> None:
    """Signed by the right key, but of another tree."""
    name = max((each for each in content if each.startswith("checkpoints/")), key=len)
    size = int(name.removeprefix("checkpoints/").removesuffix(".note"))
    content[name] = sign(Checkpoint(ORIGIN, size, bytes(32)).text(), ORIGIN, KEY).encode()


def shifted(value):
    value[0]["shard"]["index"] ^= 1


def twice_opened(value):
    value.append(value[0])


def other_salt(value):
    value[0]["salt"] = "00" * 16


def unnamed(value):
    opening = Opening("person", bytes(16), "mallory")
    value.append(
        {
            "commitment": opening.commitment,
            "kind": "person",
            "salt": "00" * 16,
            "value": "mallory",
        }
    )


@pytest.mark.parametrize(
    ("kind", "change", "code", "problem"),
    [
        ("proof", lines(lambda all: all[1:]), 1, "no proof of its own"),
        ("proof", lines(lambda all: all[:-1]), 1, "fewer leaves"),
        ("proof", lines(lambda all: [*all, all[0]]), 1, "more leaves than proofs"),
        ("proof", lines(lambda all: all[::-1]), 1, "no proof of its own"),
        ("proof", lambda c: c.update({"leaves.jsonl": c["leaves.jsonl"][:-1]}), 3, "cut off"),
        ("proof", jsons("manifest.json", lambda m: m["claim"].update(case="case-x")), 1, "not about"),
        ("proof", jsons("manifest.json", lambda m: m.update(leaves=m["leaves"] + 1)), 1, "fewer"),
        ("proof", jsons("manifest.json", lambda m: m["tree"].update(size=1)), 1, "another tree"),
        ("proof", jsons("manifest.json", lambda m: m.update(origin="x")), 1, "another tree"),
        ("proof", jsons("manifest.json", lambda m: m.update(format="x")), 3, "format"),
        ("proof", jsons("manifest.json", lambda m: m.update(more=1)), 3, "fields"),
        ("proof", jsons("manifest.json", lambda m: m["claim"].update(kind="x")), 3, "not known"),
        ("proof", jsons("proofs.json", lambda p: p["inclusion"][0]["path"].pop()), 1, "not in the log"),
        ("proof", jsons("proofs.json", lambda p: p["inclusion"][0].update(leaf=-1)), 1, "no proof"),
        ("proof", jsons("proofs.json", lambda p: p["inclusion"].clear()), 1, "more leaves"),
        ("proof", jsons("proofs.json", lambda p: [p]), 3, "no proofs"),
        ("proof", jsons("proofs.json", lambda p: p["inclusion"][0].update(leaf=True)), 3, "kind"),
        ("proof", jsons("proofs.json", lambda p: p["inclusion"][0].update(path=["x"])), 3, "hashes"),
        ("proof", other_checkpoint, 1, "not the one|another tree"),
        ("proof", without("checkpoints/"), 3, "no checkpoint"),
        ("proof", without("key.pub"), 3, "no key.pub"),
        ("proof", without("leaves.jsonl"), 3, "no leaves.jsonl"),
        ("proof", lambda c: c.update({"coverage.json": b"[]\n"}), 1, "needs no coverage"),
        ("proof", lambda c: c.update({"key.pub": b"\xff"}), 3, "no text"),
        ("proof", lambda c: c.update({"key.pub": b""}), 3, "no key"),
        ("proof", spaced, 3, "canonical"),
        ("case", without("checkpoints/"), 1, "missing or too many"),
        ("case", other_checkpoint, 1, "another tree|does not continue"),
        ("case", jsons("proofs.json", lambda p: p["consistency"].pop()), 1, "missing or too many"),
        ("case", jsons("proofs.json", lambda p: p["consistency"][0]["path"].pop()), 1, "continue"),
        ("case", jsons("openings.json", other_salt), 1, "does not open"),
        ("case", jsons("openings.json", twice_opened), 3, "opened twice"),
        ("case", jsons("openings.json", unnamed), 1, "no leaf names"),
        ("case", jsons("openings.json", lambda o: o[0].update(value="x")), 1, "does not open"),
        ("period", lines(lambda all: all[1:]), 1, "is missing"),
        ("period", lines(lambda all: all[:-1]), 1, "is missing"),
        ("period", lines(lambda all: [*all[:3], *all[4:]]), 1, "leaf 3 is missing"),
        ("period", lines(lambda all: [*all, all[-1]]), 1, "missing, or others"),
        ("period", jsons("manifest.json", lambda m: m["claim"].update(last=3)), 1, "not the one"),
        ("period", jsons("proofs.json", lambda p: p["range"]["before"].append("00" * 32)), 1, "perfect"),
        ("period", jsons("proofs.json", lambda p: p["range"]["path"].append("00" * 32)), 1, "not what"),
        ("coverage", without("openings.json"), 1, "no openings.json"),
        ("coverage", without("coverage.json"), 1, "no coverage.json"),
        ("coverage", jsons("openings.json", lambda o: o[:0]), 1, "not opened"),
        ("coverage", jsons("coverage.json", lambda looks: looks.clear()), 1, "no look"),
        ("coverage", jsons("coverage.json", lambda looks: looks.pop()), 1, "no look at the clip"),
        ("coverage", jsons("coverage.json", lambda k: k[0].update(run="run-2")), 1, "no look of"),
        ("coverage", jsons("coverage.json", lambda k: k[0].update(leaf=None)), 1, "no look at"),
        ("coverage", jsons("coverage.json", shifted), 1, "is not in the shard"),
        ("coverage", jsons("coverage.json", lambda k: k[0]["shard"].update(line="{}")), 1, "not in"),
        ("coverage", jsons("manifest.json", lambda m: m["claim"].update(clip="clip-x")), 1, "another"),
    ],
)  # fmt: skip
def test_each_tampering_is_named(
    bundles: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    change: Callable[[Members], None],
    code: int,
    problem: str,
) -> None:
    content = members(bundles[kind])
    change(content)
    assert outcome(packed(sealed(content), tmp_path / "a.zip")) == code
    said = capsys.readouterr()
    assert "VERIFIED under" not in said.out
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("NOT VERIFIED: ")
    assert re.search(problem, said.err), said.err


def test_leaves_of_one_bundle_do_not_pass_in_another(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    for kind in KINDS:
        for other in KINDS:
            content = members(bundles[kind])
            content["leaves.jsonl"] = members(bundles[other])["leaves.jsonl"]
            same = content == members(bundles[kind])
            code = outcome(packed(sealed(content), tmp_path / f"{kind}-{other}.zip"))
            assert (code == 0) == same


# Archives that are not safe to read


def archive(tmp_path: Path, name: str, data: bytes = b"x", **more: object) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(name, data, **more)
    return tmp_path / "a.zip"


@pytest.mark.parametrize(
    "name",
    [
        "../manifest.json",
        "/manifest.json",
        "checkpoints/../../x.note",
        "checkpoints/1.note/x",
        "checkpoints\\1.note",
        "checkpoints/01.note",
        "checkpoints/",
        "anchors/1.x/../../y",
        "MANIFEST.JSON",
        "readme.txt",
        "a\x1b[2Jb",
        "n" * 60_000,
    ],
)
def test_a_member_of_another_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert outcome(archive(tmp_path, name)) == 3
    said = capsys.readouterr().err
    assert "no member called" in said
    assert "\x1b" not in said


def test_a_compressed_member_is_refused_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb = archive(tmp_path, "proofs.json", bytes(50 << 20), compress_type=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    assert outcome(bomb) == 3
    assert "is compressed" in capsys.readouterr().err


def test_a_member_twice_is_refused(
    bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.zip"
    shutil.copy(bundles["proof"], file)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(file, "a") as more:
        more.writestr("leaves.jsonl", b"")
    assert outcome(file) == 3
    assert "two members called leaves.jsonl" in capsys.readouterr().err


def test_a_comment_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    shutil.copy(bundles["proof"], file)
    with zipfile.ZipFile(file, "a") as more:
        more.comment = b"trust me"
    assert outcome(file) == 3


def test_an_encrypted_member_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = archive(tmp_path, "manifest.json")
    raw = bytearray(file.read_bytes())
    flags = raw.rindex(b"PK\x01\x02") + 8
    raw[flags] |= 1
    file.write_bytes(raw)
    assert outcome(file) == 3
    assert "encrypted" in capsys.readouterr().err


def test_members_that_claim_more_than_the_file_holds_are_refused(tmp_path: Path) -> None:
    file = archive(tmp_path, "manifest.json")
    raw = bytearray(file.read_bytes())
    sizes = raw.rindex(b"PK\x01\x02") + 20
    raw[sizes : sizes + 8] = struct.pack("<LL", 1 << 30, 1 << 30)
    file.write_bytes(raw)
    assert outcome(file) == 3


def test_a_member_that_is_too_large_is_refused(
    bundles: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier(), "MOST_JSON", 100)
    assert outcome(bundles["proof"]) == 3
    monkeypatch.undo()
    monkeypatch.setattr(verifier(), "MOST_LEAF", 100)
    assert outcome(bundles["period"]) == 3
    monkeypatch.undo()
    monkeypatch.setattr(verifier(), "MOST_MEMBERS", 3)
    assert outcome(bundles["period"]) == 3


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"not a zip file at all", b"PK\x05\x06" + bytes(18)]
)
def test_what_is_no_bundle_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    done = verify_elsewhere(tmp_path / "a.zip", code=3)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_what_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    assert "is no file" in verify_elsewhere(tmp_path / "a.zip", code=3).stderr
    assert "is no file" in verify_elsewhere(tmp_path, code=3).stderr


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["leaf", "path", "old", "new", "consistency", "run", "shard"]),
                inner,
            )
        ),
    ),
    st.sampled_from(["proofs.json", "openings.json", "coverage.json", "manifest.json"]),
    st.sampled_from(KINDS),
)
@settings(max_examples=100)
def test_json_of_any_other_shape_is_one_clear_line(
    bundles: dict[str, Path], value: object, name: str, kind: str
) -> None:
    assume((name, value) != ("openings.json", []))  # a bundle may open nothing
    content = members(bundles[kind])
    content[name] = json.dumps(value, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    changed = content if name == "manifest.json" else sealed(content)
    assert outcome(packed(changed, bundles[kind].with_suffix(".bent"))) in (1, 3)


# Its own implementation


@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(1e-8, 1e-3))
def test_numbers_are_written_as_the_reference_writes_them(value: float) -> None:
    assert verifier().number(value).encode() == rfc8785.dumps(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("\ue000\U0001f600a"), inner)
        ),
    )
)
def test_json_is_written_as_the_reference_writes_it(value: object) -> None:
    assert verifier().canonical(value).encode() == rfc8785.dumps(value)


@given(st.text(), st.binary(min_size=16, max_size=16), st.binary())
def test_openings_are_read_as_they_are_written(text: str, salt: bytes, raw: bytes) -> None:
    for value in (text, os.fsdecode(raw)):
        opening = Opening("clip", salt, value)
        said = json.loads(json.dumps(bundle._opening_json(opening)))
        encoded = value.encode("utf-8", "surrogateescape")
        assert verifier().read_openings([said]) == {opening.commitment: ("clip", encoded)}


def test_it_imports_the_standard_library_and_cryptography_only() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= {*sys.stdlib_module_names, "cryptography"}


def test_it_runs_where_nothing_else_can_be_imported(
    bundles: dict[str, Path], tmp_path: Path
) -> None:
    import cffi
    import cryptography

    for package in (cryptography, cffi):
        source = Path(package.__file__).parent
        (tmp_path / source.name).symlink_to(source)
    for extension in Path(cffi.__file__).parents[1].glob("_cffi_backend*"):
        (tmp_path / extension.name).symlink_to(extension)
    run = f"import sys, runpy; sys.path.append({str(tmp_path)!r}); sys.argv = sys.argv[1:]; "
    run += "runpy.run_path(sys.argv[0], run_name='__main__')"
    python = [sys.executable, "-I", "-S", "-c"]
    command = [*python, run, str(SCRIPT), "--key", VERIFIER, str(bundles["case"])]
    done = subprocess.run(command, capture_output=True, text=True, env={}, check=False)
    assert done.returncode == 0, done.stderr
    nothing = subprocess.run(
        [*python, "import hashmatch"], capture_output=True, env={}, check=False
    )
    assert nothing.returncode == 1


def test_its_help_names_every_exit_code() -> None:
    command = [sys.executable, "-I", str(SCRIPT), "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for code in range(6):
        assert f"\n  {code}  " in said


def test_a_wrong_key_id_is_no_key() -> None:
    encoded = base64.b64encode(b"\x01" + KEY.public_key().public_bytes_raw()).decode()
    with pytest.raises(verifier().Refused, match="verifier key"):
        verifier().keys(f"{ORIGIN}+00000000+{encoded}\n", "it")
