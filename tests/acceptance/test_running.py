"""How a run behaves towards its operator: locks, stops, settings, the clock, cron."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from drawn import write_clip
from installation import Installation

from hashmatch.runs.stop import Stop, parse_until

SIZE = {"width": 192, "height": 144}


@pytest.fixture
def hashmatch(tmp_path: Path) -> Installation:
    installed = Installation(tmp_path)
    listed = tmp_path / "listed.mp4"
    write_clip(listed, seed=99, **SIZE)
    installed.list_videos("partner", {"v1": listed})
    return installed


def draw(hashmatch: Installation, count: int) -> None:
    for number in range(count):
        write_clip(hashmatch.clips / f"{number:03}.mp4", seed=number % 5, seconds=0.5, **SIZE)


def wait_for_work(home: Path) -> None:
    """Until a first clip has its outcome."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with sqlite3.connect(f"file:{home}/hashmatch.db?mode=ro", uri=True) as db:
            if db.execute("select count(*) from work where state = 'done'").fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("no clip was looked at")


def test_two_runs_at_once_are_refused_and_the_first_goes_on(hashmatch):
    draw(hashmatch, 60)
    with hashmatch.start("scan") as first:
        wait_for_work(hashmatch.home)
        second = hashmatch.run("scan", code=13)
        first.communicate()
    assert first.returncode == 0
    assert str(first.pid) in second.stderr


def test_ctrl_c_ends_tidily_and_the_next_run_takes_the_rest(hashmatch):
    draw(hashmatch, 60)
    with hashmatch.start("scan", "--json") as process:
        wait_for_work(hashmatch.home)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 130, errors
    stopped = json.loads(output)
    assert "Ctrl-C once more ends the run at once" in errors
    assert 0 < stopped["left"] < 60
    assert stopped["listed"] == 60 - stopped["left"] == sum(stopped["outcomes"].values())
    shown = hashmatch.json("runs", "show")
    assert (shown["status"], shown["exit"]) == ("stopped", 130)
    rest = hashmatch.scan(code=0)
    assert sum(rest["outcomes"].values()) == stopped["left"]
    assert rest["skipped_unchanged"] == stopped["listed"]


def test_until_stops_taking_work(hashmatch):
    draw(hashmatch, 2)
    now = datetime.now(UTC).astimezone()
    if now.second > 50:
        time.sleep(61 - now.second)
    # A time that has passed today is tomorrow's, so the run goes through.
    past = (datetime.now(UTC).astimezone() - timedelta(minutes=2)).strftime("%H:%M")
    assert hashmatch.scan("--until", past, code=0)["listed"] == 2
    assert "HH:MM" in hashmatch.run("scan", "--until", "6 o'clock", code=2).stderr


def test_until_is_the_next_time_the_clock_shows_it():
    zone = timezone(timedelta(hours=-5))
    night = datetime(2026, 11, 22, 23, 30, tzinfo=zone)
    assert parse_until("06:00", night) == datetime(2026, 11, 23, 6, 0, tzinfo=zone)
    assert parse_until("23:45", night) == datetime(2026, 11, 22, 23, 45, tzinfo=zone)
    assert Stop(night - timedelta(days=400))
    assert not Stop(datetime.now(zone) + timedelta(minutes=1))


def test_an_unknown_setting_is_refused_with_its_neighbour(hashmatch):
    file = hashmatch.home / "hashmatch.toml"
    good = file.read_text()
    file.write_text(good.replace("[match]", "[match]\ndistanse = 12"))
    failed = hashmatch.run("scan", code=14)
    assert "[match] distanse: no such setting; did you mean distance?" in failed.stderr
    file.write_text(good)
    hashmatch.environment["HASHMATCH_MATCH__DISTANSE"] = "12"
    assert "HASHMATCH_MATCH__DISTANCE" in hashmatch.run("scan", code=14).stderr


def test_settings_come_from_the_environment_before_the_file(hashmatch):
    other = hashmatch.home / "elsewhere"
    other.mkdir()
    write_clip(other / "clip.mp4", seed=5, **SIZE)
    hashmatch.environment["HASHMATCH_CLIPS__URL"] = str(other)
    assert hashmatch.scan(code=0)["listed"] == 1


def test_storage_that_is_not_there_exits_15(hashmatch):
    hashmatch.environment["HASHMATCH_CLIPS__URL"] = str(hashmatch.home / "unmounted")
    failed = hashmatch.run("scan", code=15)
    assert "unmounted" in failed.stderr
    assert hashmatch.json("runs", "show")["status"] == "failed"


def test_a_database_that_is_not_there_exits_16(hashmatch):
    (hashmatch.home / "hashmatch.db").rename(hashmatch.home / "moved.db")
    assert "hashmatch init" in hashmatch.run("scan", code=16).stderr


def test_a_clock_that_goes_backwards_breaks_nothing(hashmatch):
    """Order is kept by the log's numbers: what a faster clock wrote before is still verified."""
    draw(hashmatch, 1)
    hashmatch.scan(code=0)
    with sqlite3.connect(hashmatch.home / "hashmatch.db") as db:
        db.execute("update run set started_at = '2040-01-01 00:00:00.000000'")
        db.execute("update clip set scanned_at = '2040-01-01 00:00:00.000000'")
    write_clip(hashmatch.clips / "new.mp4", seed=3, **SIZE)
    assert hashmatch.scan(code=0)["outcomes"]["clean"] == 1
    hashmatch.run("audit", "verify")


def test_metrics_are_written_and_a_failed_run_keeps_the_last_success(hashmatch):
    hashmatch.environment["HASHMATCH_REPORT__METRICS"] = "metrics/hashmatch.prom"
    draw(hashmatch, 2)
    (hashmatch.clips / "text.mp4").write_text("no video")
    hashmatch.scan(code=10)
    good = metrics(hashmatch.home)
    assert good['hashmatch_clips{kind="scan",outcome="clean"}'] == 2
    assert good['hashmatch_unscannable{kind="scan",reason="not-media"}'] == 1
    assert good['hashmatch_list_age_seconds{list="partner"}'] >= 0
    assert good['hashmatch_last_exit_code{kind="scan"}'] == 10
    hashmatch.environment["HASHMATCH_CLIPS__URL"] = str(hashmatch.home / "unmounted")
    hashmatch.run("scan", code=15)
    failed = metrics(hashmatch.home)
    success = "hashmatch_last_success_timestamp_seconds"
    assert failed[success] == pytest.approx(good[success])
    assert failed['hashmatch_last_exit_code{kind="scan"}'] == 15


def metrics(home: Path) -> dict[str, float]:
    lines = (home / "metrics" / "hashmatch.prom").read_text().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_logs_are_json_lines_without_clip_names(hashmatch):
    write_clip(hashmatch.clips / "alice-private.mp4", seed=5, **SIZE)
    done = hashmatch.run("scan")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert any(line.get("outcome") == "clean" for line in lines)
    assert "alice-private" not in done.stderr


def test_an_entry_that_matches_too_many_clips_goes_to_review_with_an_alarm(hashmatch):
    """A wrong entry must not empty a platform in one night."""
    for number in range(4):
        crf = {"crf": str(20 + number)}
        write_clip(hashmatch.clips / f"{number}.mp4", seed=99, options=crf, **SIZE)
    hashmatch.environment["HASHMATCH_MATCH__BREAKER_CLIPS"] = "2"
    summary = hashmatch.scan(code=0)
    assert (summary["outcomes"]["matched"], summary["outcomes"]["review"]) == (2, 2)
    assert summary["quarantined"] == len(hashmatch.sealed()) == 2
    assert len(list(hashmatch.clips.iterdir())) == 2
    (alarm,) = summary["alarms"]
    assert "partner/v1" in alarm


def test_a_damaged_fingerprint_costs_its_clip_and_is_made_anew(hashmatch):
    draw(hashmatch, 3)
    hashmatch.scan(code=0)
    with sqlite3.connect(hashmatch.home / "hashmatch.db") as db:
        db.execute("update fingerprint set frames = substr(frames, 1, 99) where clip_id = 2")
    list_another(hashmatch, seed=1001)
    stored = hashmatch.json("rescan", "--stored", code=10)
    assert (stored["outcomes"]["clean"], stored["outcomes"]["unscannable"]) == (2, 1)
    assert stored["unscannable"] == {"other-recipe": 1}
    assert hashmatch.scan(code=0)["outcomes"]["clean"] == 1
    list_another(hashmatch, seed=1002)
    assert hashmatch.json("rescan", "--stored")["outcomes"]["clean"] == 3


def test_turned_copies_are_found_where_a_list_or_a_rescan_asks_for_them(hashmatch):
    """Mirrored ones always; what was hashed without the other orientations is never silently clean."""
    hashmatch.run("lists", "set", "partner", "--action", "review")
    write_clip(hashmatch.clips / "mirrored.mp4", seed=99, hflip=True, **SIZE)
    write_clip(hashmatch.clips / "turned.mp4", seed=99, rotation=90, **SIZE)
    write_clip(hashmatch.clips / "other.mp4", seed=5, **SIZE)
    review = {"mirrored.mp4": "review", "turned.mp4": "clean", "other.mp4": "clean"}

    def said() -> dict[str, str]:
        return {key: outcome for key, (outcome, _) in hashmatch.outcomes().items()}

    hashmatch.scan(code=0)
    assert said() == review
    hashmatch.json("rescan", "--prefix", "turned", "--orientations")
    assert said() == {"turned.mp4": "review"}
    hashmatch.json("rescan", "--prefix", "turned")
    assert said() == {"turned.mp4": "clean"}

    hashmatch.run("lists", "set", "partner", "--orientations", "all")
    stored = hashmatch.json("rescan", "--stored", code=10)
    assert stored["unscannable"] == {"other-recipe": 2}
    assert said() == {
        "mirrored.mp4": "review",
        "turned.mp4": "unscannable",
        "other.mp4": "unscannable",
    }
    hashmatch.scan(code=0)
    assert said() == {"mirrored.mp4": "review", "turned.mp4": "review", "other.mp4": "clean"}
    assert hashmatch.json("rescan", "--stored")["skipped_unchanged"] == 3


def list_another(hashmatch: Installation, seed: int) -> None:
    """A list that is new, and has none of the clips."""
    listed = hashmatch.home / f"{seed}.mp4"
    write_clip(listed, seed=seed, seconds=0.5, **SIZE)
    hashmatch.list_videos(f"list-{seed}", {"v1": listed})


def test_rescans_take_what_they_are_asked_for(hashmatch):
    for key in ("2026/10/a.mp4", "2026/11/b.mp4", "2026/11/c.mp4"):
        path = hashmatch.clips / key
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, seed=5, seconds=0.5, **SIZE)
    hashmatch.scan(code=0)
    assert hashmatch.json("rescan", "--prefix", "2026/11/")["outcomes"]["clean"] == 2
    assert hashmatch.json("rescan", "--clip", "2026/10/a.mp4")["listed"] == 1
    assert hashmatch.json("rescan", "--since", "2020-01-01")["listed"] == 3
    assert hashmatch.json("rescan", "--stored")["skipped_unchanged"] == 3
    list_another(hashmatch, seed=1001)
    assert hashmatch.json("rescan", "--stored")["outcomes"]["clean"] == 3
    assert "compared from what is stored: 3 clean" in hashmatch.run("runs", "show").stdout
    assert hashmatch.outcomes() == {}
    for choice in ("--clip", "--prefix"):
        assert "'nothing'" in hashmatch.run("rescan", choice, "nothing", code=2).stderr
    hashmatch.run("rescan", code=2)
    hashmatch.run("rescan", "--orientations", code=2)
    hashmatch.run("rescan", "--stored", "--orientations", code=2)


@pytest.fixture
def read_in_parts(hashmatch: Installation) -> Path:
    """A clip that was scanned by its keyframes, and clean."""
    hashmatch.environment["HASHMATCH_DECODE__SAMPLING"] = "keyframes"
    clip = hashmatch.clips / "a.mp4"
    write_clip(clip, seed=5, seconds=5, options={"qp": "1", "g": "30"}, **SIZE)
    summary = hashmatch.scan(code=0)
    assert summary["outcomes"]["clean"] == 1
    assert summary["bytes_read"] < clip.stat().st_size
    return clip


def test_a_clip_read_in_parts_is_read_whole_once_a_list_has_digests(hashmatch, read_in_parts):
    file = hashmatch.home / "digests.txt"
    file.write_text(hashlib.md5(read_in_parts.read_bytes()).hexdigest() + "\n")
    hashmatch.run("lists", "import", "files", str(file), "--format", "lines")
    hashmatch.run("lists", "activate", "files", "1")
    assert hashmatch.json("rescan", "--stored", code=10)["unscannable"] == {"other-recipe": 1}
    assert hashmatch.scan(code=0)["quarantined"] == 1
    assert len(hashmatch.sealed()) == 1


def test_a_clip_read_in_parts_that_matches_later_is_taken_by_the_next_scan(
    hashmatch, read_in_parts
):
    content = read_in_parts.read_bytes()
    hashmatch.list_videos("later", {"v5": read_in_parts})
    assert hashmatch.json("rescan", "--stored")["outcomes"]["review"] == 1
    assert hashmatch.scan(code=0)["quarantined"] == 1
    assert list(hashmatch.sealed().values()) == [content]
