"""What a folder adds to a store's promises: odd names, links, and durability."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashmatch.clips.keys import to_key
from hashmatch.clips.store import (
    CHUNK,
    KeyRefused,
    ListingIncomplete,
    ObjectChanged,
    ObjectDenied,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
)
from hashmatch.clips.store_folder import FolderStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root: Path) -> FolderStore:
    return FolderStore(root)


def keys(store: FolderStore) -> list[str]:
    return sorted(info.key for info in store.list())


def content(store: FolderStore, key: str, etag: str | None = None) -> bytes:
    return b"".join(store.read(key, etag))


ODD = [b"caf\xe9.mp4", b"two\nlines", b"\xff\xfe", b"tab\t\x01\x1b[2J\x7f", b"\\xE9", b" ", b"..."]


def test_no_name_hides_another(root: Path, store: FolderStore) -> None:
    for name in ODD:
        folder = os.fsencode(root) + b"/" + name
        Path(os.fsdecode(folder)).mkdir()
        for inner in (*ODD, b"plain"):
            Path(os.fsdecode(folder + b"/" + inner)).write_bytes(inner)
    listed = list(store.list())
    assert len({info.key for info in listed}) == len(listed) == len(ODD) * (len(ODD) + 1)
    expected = {to_key(one + b"/" + other) for one in ODD for other in (*ODD, b"plain")}
    assert {info.key for info in listed} == expected
    for info in listed:
        assert to_key(content(store, info.key, info.etag)) == info.key.split("/")[1]
        store.delete(info.key, info.etag)


file_names = st.binary(min_size=1, max_size=30).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(file_names, min_size=1, max_size=4, unique=True))
def test_any_file_name_is_written_listed_and_read(store: FolderStore, names: list[bytes]) -> None:
    wanted = {to_key(name): name for name in names}
    for key, name in wanted.items():
        store.write(key, [name])
    assert {i.key: content(store, i.key, i.etag) for i in store.list()} == wanted
    for info in list(store.list()):
        store.delete(info.key, info.etag)


@pytest.mark.parametrize(
    "key", ["..", "../x", "a/../b", "a/..", "/etc/passwd", "a//b", "a/", "./a", "a/./b", "a\\x00b"]
)
def test_no_key_leads_out_of_the_folder(root: Path, store: FolderStore, key: str) -> None:
    (root.parent / "x").write_bytes(b"outside")
    for use in (
        lambda: store.head(key),
        lambda: content(store, key),
        lambda: store.write(key, [b"x"]),
        lambda: store.delete(key, "0"),
    ):
        with pytest.raises(KeyRefused):
            use()
    assert (root.parent / "x").read_bytes() == b"outside"


def test_a_name_that_is_too_long_is_refused(store: FolderStore) -> None:
    with pytest.raises(KeyRefused):
        store.write("a" * 300, [b"x"])


def test_nothing_is_reached_through_a_link(root: Path, store: FolderStore) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    for key in ("file", "folder/secret"):
        with pytest.raises(ObjectNotFound):
            store.head(key)
        with pytest.raises(ObjectNotFound):
            content(store, key)
        with pytest.raises(ObjectNotFound):
            store.delete(key, "0")
    with pytest.raises(KeyRefused):
        store.write("folder/new", [b"x"])
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_link_is_neither_replaced_nor_followed_by_a_write(root: Path, store: FolderStore) -> None:
    (root.parent / "outside").write_bytes(b"outside")
    (root / "a").symlink_to(root.parent / "outside")
    with pytest.raises(ObjectExists):
        store.write("a", [b"new"])
    for etag in ("0", FolderStore(root.parent).head("outside").etag):
        with pytest.raises(ObjectChanged):
            store.write("a", [b"new"], over=etag)
    assert (root.parent / "outside").read_bytes() == b"outside"
    assert (root / "a").is_symlink()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_that_leads_out_makes_the_listing_incomplete(
    root: Path, store: FolderStore, kind: str
) -> None:
    outside = root.parent / "outside"
    outside.mkdir() if kind == "folder" else outside.write_bytes(b"x")
    (root / "link").symlink_to(outside)
    for name in ("a", "z"):
        (root / name).write_bytes(b"x")
    seen: list[str] = []
    with pytest.raises(ListingIncomplete, match="link"):
        seen.extend(info.key for info in store.list())
    assert sorted(seen) == ["a", "z"]


def test_a_link_within_the_folder_hides_nothing(root: Path, store: FolderStore) -> None:
    (root / "real").mkdir()
    (root / "real" / "a").write_bytes(b"x")
    (root / "link").symlink_to(root / "real")
    (root / "file").symlink_to("real/a")
    (root / "self").symlink_to(root)
    (root / "dangling").symlink_to(root / "gone")
    (root / "loop").symlink_to("loop")
    assert keys(store) == ["real/a"]


def test_the_folder_itself_may_be_a_link(root: Path) -> None:
    (root / "a").write_bytes(b"x")
    link = root.parent / "link"
    link.symlink_to(root)
    assert keys(FolderStore(link)) == ["a"]


@pytest.mark.timeout(20)
def test_pipes_and_sockets_are_no_objects(
    root: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        monkeypatch.chdir(root)
        one.bind("socket")
        (root / "a").write_bytes(b"x")
        assert keys(store) == ["a"]
        for key in ("pipe", "socket"):
            with pytest.raises((ObjectNotFound, StorageUnavailable)):
                content(store, key)


@pytest.mark.parametrize("name", [".hashmatch-0123456789abcdef.partial", ".a.tmp", "a.part"])
def test_no_name_is_a_place_to_hide(root: Path, store: FolderStore, name: str) -> None:
    (root / name).write_bytes(b"x")
    assert keys(store) == [name]


def test_a_missing_folder_is_not_an_empty_one(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "unmounted")
    for use in (
        lambda: list(store.list()),
        lambda: store.head("a"),
        lambda: content(store, "a"),
        lambda: store.write("a", [b"x"]),
        lambda: store.delete("a", "0"),
    ):
        with pytest.raises(StorageUnavailable, match="cannot be opened"):
            use()
    assert not (tmp_path / "unmounted").exists()


def test_a_file_instead_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips").write_bytes(b"x")
    with pytest.raises(StorageUnavailable):
        list(FolderStore(tmp_path / "clips").list())


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that belongs to a user without privileges, whom this process becomes."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if os.geteuid() != 0:
            yield root
            return
        os.chown(root, 65534, 65534)
        os.seteuid(65534)
        try:
            yield root
        finally:
            os.seteuid(0)


def test_an_unreadable_folder_hides_no_other_and_is_told(as_nobody: Path) -> None:
    for name in ("a", "closed", "z"):
        (as_nobody / name).mkdir()
        (as_nobody / name / "clip").write_bytes(b"x")
    (as_nobody / "closed").chmod(0)
    seen: list[str] = []
    with pytest.raises(ListingIncomplete, match=r"closed.*Permission denied"):
        seen.extend(info.key for info in FolderStore(as_nobody).list())
    (as_nobody / "closed").chmod(0o700)
    assert sorted(seen) == ["a/clip", "z/clip"]


def test_a_file_that_may_not_be_read_is_denied(as_nobody: Path) -> None:
    (as_nobody / "a").write_bytes(b"x")
    (as_nobody / "a").chmod(0)
    with pytest.raises(ObjectDenied, match="Permission denied"):
        content(FolderStore(as_nobody), "a")


def test_what_vanishes_while_it_is_listed_is_no_trouble(root: Path, store: FolderStore) -> None:
    for n in range(50):
        (root / f"{n}").mkdir()
        (root / f"{n}" / "a").write_bytes(b"x")
        (root / f"{n}" / "b").write_bytes(b"x")
    listing = store.list()
    first = next(listing)
    for n in range(50):
        if not first.key.startswith(f"{n}/"):
            (root / f"{n}" / "a").unlink()
            if n % 2:
                (root / f"{n}" / "b").unlink()
                (root / f"{n}").rmdir()
    rest = [info.key for info in listing]
    assert sum(key.endswith("/b") for key in [first.key, *rest]) >= 25


def test_the_depth_of_a_folder_costs_no_handles(root: Path, store: FolderStore) -> None:
    deep = os.open(root, os.O_RDONLY)
    for _ in range(450):  # Deeper than open files are allowed, longer than a path may be.
        os.mkdir("d" * 10, dir_fd=deep)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(os.open("clip", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
    os.close(deep)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd.name) for fd in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(highest + 20, hard), hard))
    try:
        (found,) = store.list()
        assert content(store, found.key, found.etag) == b""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    subprocess.run(["rm", "-rf", str(root)], check=True)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"Y" * 100)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def cut(path: Path) -> None:
    os.truncate(path, CHUNK + 5)


def swap(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(bytes(path.stat().st_size))
    other.rename(path)


def rewrite_and_set_the_clock_back(path: Path) -> None:
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = [rewrite, append, cut, swap, rewrite_and_set_the_clock_back, Path.unlink]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_during_the_read_is_noticed(root: Path, store: FolderStore, change) -> None:
    etag = store.write("a", [bytes(3 * CHUNK)]).etag
    reading = store.read("a", etag)
    next(reading)
    change(root / "a")
    with pytest.raises(ObjectChanged):
        list(reading)


@pytest.mark.parametrize("change", CHANGES[:-1])
def test_a_change_since_the_listing_is_noticed(root: Path, store: FolderStore, change) -> None:
    etag = store.write("a", [bytes(3 * CHUNK)]).etag
    change(root / "a")
    with pytest.raises(ObjectChanged):
        next(store.read("a", etag))
    with pytest.raises(ObjectChanged):
        store.delete("a", etag)
    assert (root / "a").exists()


def test_times_that_no_calendar_has_are_listed(root: Path, store: FolderStore) -> None:
    for name, seconds in (("old", -(10**10)), ("new", 10**10), ("far", 2**34 - 1)):
        (root / name).write_bytes(b"x")
        os.utime(root / name, (seconds, seconds))
    assert keys(store) == ["far", "new", "old"]


def test_all_is_flushed_before_a_write_returns(
    root: Path, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        flushed.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    store.write("2026/11/a", [b"x"])
    file, *folders = ((root / name).stat().st_ino for name in ("2026/11/a", "2026/11", "2026", "."))
    assert set(flushed) == {file, *folders}
    # The file before the folder that names it: never a name without content.
    assert flushed.index(file) < len(flushed) - 1 - flushed[::-1].index(folders[0])
    flushed.clear()
    store.delete("2026/11/a", store.head("2026/11/a").etag)
    assert flushed == [folders[0]]


@pytest.fixture(params=["unnamed", "named"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With unnamed files, and as file systems without them (NFS, many in user space) answer."""
    if request.param == "named":
        real = os.open

        def without_tmpfile(path, flags, mode=0o777, *, dir_fd=None):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return real(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", without_tmpfile)
    return request.param


@pytest.mark.usefixtures("file_system")
def test_a_write_leaves_its_file_and_nothing_else(store: FolderStore) -> None:
    old = store.write("a/b", [b"one"])
    assert list(store.list()) == [old]
    with pytest.raises(ObjectExists):
        store.write("a/b", [b"two"])
    assert list(store.list()) == [old]
    new = store.write("a/b", [b"two"], over=old.etag)
    assert list(store.list()) == [new]
    with pytest.raises(ObjectChanged):
        store.write("a/b", [b"three"], over=old.etag)
    assert list(store.list()) == [new]


@pytest.mark.usefixtures("file_system")
def test_a_version_that_comes_while_another_is_written_is_not_replaced(
    root: Path, store: FolderStore
) -> None:
    old = store.write("a", [b"old"])

    def chunks() -> Iterator[bytes]:
        rewrite(root / "a")
        yield b"new"

    with pytest.raises(ObjectChanged):
        store.write("a", chunks(), over=old.etag)
    assert [info.key for info in store.list()] == ["a"]
    assert content(store, "a") != b"new"


@pytest.mark.usefixtures("file_system")
def test_a_full_disk_is_told_and_leaves_nothing(store: FolderStore) -> None:
    old = store.write("a", [b"old"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CHUNK, hard))
    try:
        with pytest.raises(StorageFull, match="'a'"):
            store.write("a", [bytes(CHUNK), bytes(CHUNK)], over=old.etag)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(store.list()) == [old]
    assert content(store, "a", old.etag) == b"old"


def test_a_really_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        store = FolderStore(tmp_path)
        with pytest.raises(StorageFull, match="No space left"):
            store.write("a", [bytes(CHUNK)] * 3)
        assert list(store.list()) == []
        assert store.write("a", [b"fits"]).size == 4
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_write_that_is_killed_leaves_no_half_object(root: Path, store: FolderStore) -> None:
    old = store.write("a", [b"old"])
    script = (
        "import sys, time; from pathlib import Path\n"
        "from hashmatch.clips.store_folder import FolderStore\n"
        "def chunks():\n"
        "    yield b'half'; print('half', flush=True); time.sleep(60)\n"
        "FolderStore(Path(sys.argv[1])).write(sys.argv[2], chunks(), over=sys.argv[3] or None)\n"
    )
    for key, over in (("a", old.etag), ("b", "")):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(root), key, over], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout.readline() == b"half\n"
            writer.send_signal(signal.SIGKILL)
    assert list(store.list()) == [old]
    assert content(store, "a", old.etag) == b"old"


def test_a_file_where_a_folder_must_be_is_told(root: Path, store: FolderStore) -> None:
    store.write("a", [b"x"])
    (root / "folder").mkdir()
    with pytest.raises(KeyRefused, match="needs a folder"):
        store.write("a/b", [b"x"])
    with pytest.raises(KeyRefused, match="needs a folder"):
        store.write("folder", [b"x"])


@pytest.mark.parametrize(
    ("mode", "of_folders", "of_files"),
    [
        (0o700, 0o700, 0o600),
        (0o755, 0o755, 0o644),
        (0o2770, 0o2770, 0o660),
        (0o1777, 0o1775, 0o664),
    ],
)
@pytest.mark.parametrize("over", [False, True])
def test_what_is_written_is_open_to_whom_its_folder_is(
    root: Path, store: FolderStore, mode: int, of_folders: int, of_files: int, over: bool
) -> None:
    root.chmod(mode)
    before = os.umask(0o077)
    try:
        etag = store.write("2026/11/a.mp4", [b"first"]).etag
        if over:
            store.write("2026/11/a.mp4", [b"second"], over=etag)
    finally:
        os.umask(before)
    made = [root / "2026", root / "2026/11", root / "2026/11/a.mp4"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [
        of_folders,
        of_folders,
        of_files,
    ]


def test_many_writers_share_new_folders(store: FolderStore) -> None:
    def write(n: int) -> None:
        store.write(f"2026/11/22/{n}", [b"x"])

    threads = [threading.Thread(target=write, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys(store)) == 16


def test_a_file_that_was_just_written_is_read_only_when_it_stays_as_it_is(tmp_path):
    """A write sets the file's times when it begins: what follows within a tick would not show."""
    (tmp_path / "a.mp4").write_bytes(b"x" * 100)
    store = FolderStore(tmp_path)
    changing = threading.Event()

    def change() -> None:
        while not changing.wait(0.002):
            (tmp_path / "a.mp4").touch()

    writer = threading.Thread(target=change)
    writer.start()
    try:
        with pytest.raises(ObjectChanged):
            for _ in range(50):
                list(store.read("a.mp4"))
    finally:
        changing.set()
        writer.join()
    assert b"".join(store.read("a.mp4")) == b"x" * 100
