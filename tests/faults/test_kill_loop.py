"""Promises 1, 2 and 3 under kill -9: the coordinator and workers die at any moment, nothing is lost.

Kills are aimed by the growth of the audit log, which every step adds to, and not by time: they hit the
same places on a slow machine and a fast one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from drawn import write_clip
from installation import Installation
from shard_parts import check_shards
from sites import Site, make_site, site_of
from sqlalchemy import func, select

from hashmatch.db.schema import CaseRow, ClipRow, LeafRow, WorkRow

MATCHED, CLEAN = 5, 4
SIZE = {"width": 192, "height": 144}
SETTINGS = {
    "HASHMATCH_RUN__RETRY_MINUTES": "0",
    "HASHMATCH_RUN__WORKERS": "2",
    "HASHMATCH_RUN__SHARD_SIZE": "3",
    "HASHMATCH_MATCH__BREAKER_CLIPS": "1000",
}


@pytest.fixture
def in_folders(template: Installation, tmp_path: Path) -> Site:
    """SQLite and folders."""
    installed = template.copied(tmp_path / "home")
    installed.environment |= SETTINGS
    return with_clips(site_of(installed))


@pytest.fixture
def on_servers(request: pytest.FixtureRequest, template: Installation, tmp_path: Path) -> Site:
    """PostgreSQL, and S3 for clips and vault."""
    site = make_site(tmp_path / "home", "s3", "postgresql", request, **SETTINGS)
    site.hashmatch.list_videos("partner", {"v1": template.home / "listed.mp4"})
    return with_clips(site)


def with_clips(site: Site) -> Site:
    """Clips of which some are differently encoded copies of a listed video, and one is no video."""
    drawn = site.hashmatch.home / "drawn.mp4"
    for number in range(MATCHED):
        write_clip(drawn, seed=99, options={"crf": str(20 + number)}, **SIZE)
        site.clips.put(f"copy-{number}.mp4", drawn.read_bytes())
    for number in range(CLEAN):
        write_clip(drawn, seed=number, **SIZE)
        site.clips.put(f"clean-{number}.mp4", drawn.read_bytes())
    site.clips.put("text.mp4", b"no video")
    return site


def leaves(site: Site) -> int:
    return int(site.ask(select(func.count()).select_from(LeafRow))[0][0])


def workers(pid: int) -> list[int]:
    """The coordinator's worker processes; none if it has just ended."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(n) for task in tasks for n in (task / "children").read_text().split()]
        commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [child for child, command in commands.items() if b"spawn_main" in command]


def scan_until(site: Site, grown: int, victim: str, rng: random.Random) -> int | None:
    """Scan, and kill when the log has grown by so many leaves. The exit code, None if it was killed."""
    goal = leaves(site) + grown
    with site.hashmatch.start("scan", quiet=True) as process:
        while process.poll() is None and leaves(site) < goal:
            time.sleep(0.001)
        if victim == "coordinator":
            process.kill()
        elif alive := workers(process.pid):
            os.kill(rng.choice(alive), signal.SIGKILL)
        code = process.wait()
    return None if code == -signal.SIGKILL else code


def check_everything(site: Site, originals: dict[str, bytes]) -> None:
    """Each matched clip is in the vault once and whole, its original gone, and all is on record."""
    copies = {name: data for name, data in originals.items() if name.startswith("copy-")}
    assert sorted(site.sealed()) == sorted(copies.values())
    assert site.clips.objects() == {
        name: data for name, data in originals.items() if name not in copies
    }
    cases = site.hashmatch.json("quarantine", "list")
    assert [case["state"] for case in cases] == ["removed"] * MATCHED
    site.hashmatch.run("quarantine", "verify")
    site.hashmatch.run("audit", "verify")
    assert check_shards(site.db)
    check_the_ledger(site, originals)


def check_the_ledger(site: Site, originals: dict[str, bytes]) -> None:
    """Each clip has its outcome, from one look at its one version, and each step its one leaf."""
    expected = {"copy": "matched", "clea": "clean", "text": "unscannable"}
    assert dict(site.ask(select(ClipRow.key, ClipRow.outcome))) == {
        name: expected[name[:4]] for name in originals
    }
    turns = site.ask(select(WorkRow.state, WorkRow.clip_id, WorkRow.etag))
    assert {state for state, _, _ in turns} == {"done"}
    assert len(turns) == len(set(turns)), "a clip was scanned twice in vain"
    steps: dict[str, list[str]] = {}
    for kind, body in site.ask(select(LeafRow.kind, LeafRow.body).order_by(LeafRow.seq)):
        if kind.startswith("case-"):
            steps.setdefault(json.loads(body)["body"]["case"], []).append(kind)
    assert len(steps) == MATCHED
    for taken in steps.values():
        beside = ("case-intends", "case-keyed")
        assert [kind for kind in taken if kind not in beside] == [
            "case-detected",
            "case-sealed",
            "case-verified",
            "case-withdrawn",
            "case-removed",
        ]
        # Each step was intended once, whatever was killed in the middle of it.
        assert taken.count("case-intends") == 4
        assert taken.count("case-keyed") == 1


def kill_and_carry_on(site: Site, kills: int, seed: int) -> None:
    originals = site.clips.objects()
    rng = random.Random(seed)
    for _ in range(kills):
        victim = rng.choice(["coordinator", "coordinator", "worker"])
        code = scan_until(site, rng.randrange(0, 14), victim, rng)
        assert code in (None, 0, 10), f"a run ended with {code}"
    site.hashmatch.run("scan", code=[0, 10])
    assert site.hashmatch.scan()["skipped_unchanged"] == CLEAN + 1
    check_everything(site, originals)


def test_killed_at_random_moments_nothing_is_lost_and_nothing_done_twice(in_folders):
    kill_and_carry_on(in_folders, kills=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 8))
def test_killed_many_times_nothing_is_lost_and_nothing_done_twice(in_folders, seed):
    kill_and_carry_on(in_folders, kills=20, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [11, 12])
def test_killed_many_times_with_servers_nothing_is_lost_and_nothing_done_twice(on_servers, seed):
    kill_and_carry_on(on_servers, kills=15, seed=seed)


def test_a_worker_that_is_killed_costs_no_clip(in_folders):
    """The run goes on with a fresh worker, and the clip that was in hand is seen."""
    originals = in_folders.clips.objects()
    code = scan_until(in_folders, 3, "worker", random.Random(1))
    assert code == 10  # for the text file alone
    check_everything(in_folders, originals)


@pytest.mark.parametrize(
    "grown", [8, *(pytest.param(grown, marks=pytest.mark.slow) for grown in (4, 11, 14))]
)
def test_killed_while_renditions_are_taken_all_of_them_are(template, tmp_path, grown):
    """Their cases are opened together or not at all, so whatever was taken of them, the rest follows."""
    installed = template.copied(tmp_path / "home")
    installed.environment |= SETTINGS | {"HASHMATCH_CLIPS__RENDITIONS": "{id}/{height}.mp4"}
    site = site_of(installed)
    drawn = installed.home / "drawn.mp4"
    for height in (360, 720, 1080):
        write_clip(drawn, seed=99, width=height // 2, height=height // 4, seconds=0.5)
        site.clips.put(f"copy/{height}.mp4", drawn.read_bytes())
    originals = site.clips.objects()
    # On a busy machine it may have ended before it was seen to be as far as that.
    assert scan_until(site, grown, "coordinator", random.Random(1)) in (None, 0)
    opened = site.ask(select(CaseRow.id))
    assert len(opened) in (0, 3)
    site.hashmatch.run("scan")
    assert sorted(site.sealed()) == sorted(originals.values())
    assert site.clips.objects() == {}
    assert site.ask(select(CaseRow.state, CaseRow.rendition_of)) == [("removed", "copy")] * 3
    site.hashmatch.run("audit", "verify")
