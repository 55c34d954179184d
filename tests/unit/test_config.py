"""The settings: file, environment and defaults, and what is refused without saying a secret."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from hashmatch.config import Settings, load, render
from hashmatch.config.origins import Effective, effective
from hashmatch.config.sections import Matching
from hashmatch.config.settings import sections
from hashmatch.errors import ConfigError
from hashmatch.model import Sampling

SECRET = "wJalrXUtnFEMI-the-secret"
NAMES = [(name, key) for name, kind in sections() for key in kind.model_fields]


@pytest.fixture(autouse=True)
def no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("HASHMATCH_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def given(tmp_path: Path) -> Callable[[str], Settings]:
    """Loads a hashmatch.toml of that text."""

    def loaded(text: str) -> Settings:
        file = tmp_path / "hashmatch.toml"
        file.write_text(text, "utf-8")
        return load(file)

    return loaded


def refused(given: Callable[[str], Settings], text: str = "") -> str:
    with pytest.raises(ConfigError) as error:
        given(text)
    assert SECRET not in f"{error.value.message} {error.value.remedy} {error.value!r}"
    return error.value.message


def test_an_empty_file_gives_the_defaults(given):
    settings = given("")
    assert settings == Settings()
    assert settings.match.distance == 31
    assert settings.decode.sampling is Sampling.REFERENCE


def test_a_file_with_a_byte_order_mark_is_read(given):
    assert given("\ufeff[match]\ndistance = 7\n").match.distance == 7


def test_what_init_writes_are_the_defaults(given):
    assert given(render({})) == Settings()


def test_every_setting_is_in_the_file_with_its_default_and_what_it_is_for(given):
    lines = render({}).splitlines()
    # Set are comments that hold a setting; the lines above them say what it is for.
    set_all = [line.removeprefix("# ") if " = " in line else line for line in lines]
    found = tomllib.loads("\n".join(set_all))
    assert [(section, key) for section in found for key in found[section]] == NAMES
    for about, line in pairwise(lines):
        if " = " in line:
            assert about.startswith("# ")
            assert about.removeprefix("# ") not in ("", "None")
    # Where nothing is the default, the file shows "" in its place.
    nothing = {
        (section, key)
        for section, key in NAMES
        if getattr(getattr(Settings(), section), key) is None
    }
    for section, key in nothing:
        assert found[section].pop(key) == ""
    assert Settings(**found) == Settings()


def test_what_is_given_to_render_is_set_and_the_rest_is_a_comment(given):
    values = {
        "clips": {"url": 's3://clips/"odd" \\ name', "include": ("**.mp4", "live/**")},
        "run": {"workers": 3},
        "decode": {"min_coverage": 0.5},
    }
    settings = given(render(values))
    assert settings.clips.url == 's3://clips/"odd" \\ name'
    assert settings.clips.include == ("**.mp4", "live/**")
    assert (settings.run.workers, settings.decode.min_coverage) == (3, 0.5)
    text = render(values)
    assert sum(" = " in line and not line.startswith("#") for line in text.splitlines()) == 4


def test_the_environment_goes_before_the_file(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_MATCH__DISTANCE", "12")
    monkeypatch.setenv("HASHMATCH_RUN__WORKERS", "2")
    settings = given("[match]\ndistance = 20\nquality = 60\n")
    assert (settings.match.distance, settings.match.quality) == (12, 60)
    assert settings.run.workers == 2


def test_the_environment_alone_is_enough_where_there_is_no_file(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHMATCH_CLIPS__URL", "s3://clips")
    settings = load()
    assert settings.clips.url == "s3://clips"
    assert settings.home == tmp_path


@pytest.mark.parametrize(
    ("text", "value"),
    [("false", False), ("true", True), ("0", False), ("1", True), ("no", False), ("yes", True)],
)
def test_booleans_of_the_environment_are_what_they_say(given, monkeypatch, text, value):
    monkeypatch.setenv("HASHMATCH_CLIPS__EXCLUDE_PRIVATE", text)
    assert given("").clips.exclude_private is value


def test_lists_of_the_environment_are_json(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_CLIPS__INCLUDE", '["live/**", "vod/**"]')
    assert given("").clips.include == ("live/**", "vod/**")


def test_a_list_that_is_not_json_is_refused_with_how_to_write_it(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_CLIPS__INCLUDE", "live/**")
    message = refused(given)
    assert message.startswith("HASHMATCH_CLIPS__INCLUDE: not JSON")


def test_an_unknown_setting_of_the_file_is_refused_with_its_neighbour(given):
    message = refused(given, "[match]\ndistanse = 12\n")
    assert "[match] distanse: no such setting; did you mean distance?" in message


def test_an_unknown_section_is_refused_with_its_neighbour(given):
    message = refused(given, "[reports]\nmetrics = 'x'\n")
    assert "[reports]: no such setting; did you mean report?" in message


def test_an_unknown_variable_is_refused_with_its_neighbour(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_MATCH__DISTANSE", "12")
    assert "did you mean HASHMATCH_MATCH__DISTANCE?" in refused(given)


def test_all_that_is_wrong_is_said_at_once(given):
    message = refused(given, "[match]\ndistance = 32\n[run]\nworkers = 'many'\n[lits]\n")
    assert "[match] distance: " in message
    assert "[run] workers: " in message
    assert "[lits]: no such setting; did you mean lists?" in message


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("match", "distance", -1),
        ("match", "distance", 32),
        ("match", "quality", 101),
        ("match", "breaker_share", 0.0),
        ("match", "min_frames", 0),
        ("decode", "min_coverage", 1.5),
        ("decode", "sampling", "some"),
        ("decode", "max_gap_seconds", 0),
        ("decode", "max_memory", 1000),
        ("clips", "retries", -1),
        ("clips", "include", "**"),
        ("run", "workers", 1.5),
        ("run", "shard_size", 0),
        ("lists", "max_rejected", 2),
        ("lists", "max_age_days", 0),
        ("report", "log_format", "xml"),
        ("audit", "origin", ""),
        ("audit", "origin", "two words"),
        ("audit", "origin", "a+b"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_settings_name(given, section, key, value):
    message = refused(given, f"[{section}]\n{key} = {value!r}\n")
    assert f"[{section}] {key}: " in message


def test_a_bad_value_of_the_environment_names_its_setting(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_MATCH__DISTANCE", "near")
    message = refused(given)
    assert message.startswith("HASHMATCH_MATCH__DISTANCE: ")
    assert "hashmatch.toml" not in message
    assert "[match] distance" in message
    assert message.count("HASHMATCH_MATCH__DISTANCE") == 1


def test_what_is_wrong_in_file_and_environment_names_both(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_MATCH__DISTANCE", "near")
    message = refused(given, "[run]\nshard_size = 0\n")
    assert "hashmatch.toml" in message.split(": ")[0]
    assert "[match] distance (of HASHMATCH_MATCH__DISTANCE)" in message
    assert "[run] shard_size: " in message


def test_secrets_are_in_no_representation_and_still_there(given):
    settings = given(f"[clips]\nsecret_access_key = '{SECRET}'\n")
    assert SECRET not in f"{settings} {settings!r} {settings.clips!r} {settings.model_dump_json()}"
    assert SECRET not in repr(given(f"[database]\nurl = 'postgresql://me:{SECRET}@host/name'\n"))
    assert settings.clips.secret_access_key is not None
    assert settings.clips.secret_access_key.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "text",
    [
        f"[clips]\nsecret_access_key = ['{SECRET}']\n",
        f"[clips]\nsecret_access_kye = '{SECRET}'\n",
        f"[clips]\naccess_key_id = 3\nsecret_access_key = '{SECRET}'\n",
        f"[database]\nurl = ['postgresql://me:{SECRET}@host/name']\n",
        f"secret_access_key = '{SECRET}'\n",
        f"clips = '{SECRET}'\n",
        f"[clips]\nsecret_access_key = '{SECRET}\n",
        f"[clips]\nsecret_access_key = {SECRET}\n",
    ],
)
def test_no_message_says_a_value_of_the_file(given, text):
    refused(given, text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HASHMATCH_CLIPS__SECRET_ACCESS_KYE", SECRET),
        ("HASHMATCH_CLIPS__INCLUDE", SECRET),
        ("HASHMATCH_MATCH__DISTANCE", SECRET),
        ("HASHMATCH_CLIPS", SECRET),
        ("HASHMATCH_CLIPS__URL__PART", SECRET),
    ],
)
def test_no_message_says_a_value_of_the_environment(given, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    refused(given)


def test_a_file_that_is_not_there_is_refused_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHMATCH_CLIPS__URL", "s3://clips")
    with pytest.raises(ConfigError, match="there is no such file") as error:
        load(tmp_path / "other.toml")
    assert str(tmp_path / "other.toml") in error.value.message
    assert "hashmatch init" in error.value.remedy


def test_without_file_and_environment_it_says_what_to_do():
    with pytest.raises(ConfigError, match="no such file") as error:
        load()
    assert error.value.exit_code == 14


@pytest.mark.parametrize("content", [b"[clips\n", b"\xff\xfe", b"clips = 1\nclips = 2\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    file = tmp_path / "hashmatch.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"hashmatch\.toml"):
        load(file)


def test_a_folder_is_no_settings_file(tmp_path):
    with pytest.raises(ConfigError):
        load(tmp_path)


def test_relative_paths_start_from_the_files_folder(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "hashmatch.toml").write_text("")
    settings = load(Path("home") / "hashmatch.toml")
    monkeypatch.chdir("/")
    assert settings.home == home
    assert settings.path("keys/id.key") == home / "keys" / "id.key"
    assert settings.path("/etc/hashmatch/id.key") == Path("/etc/hashmatch/id.key")


def test_settings_cannot_be_changed_afterwards(given):
    settings = given("")
    with pytest.raises(ValueError, match="frozen"):
        settings.match.distance = 3
    with pytest.raises(ValueError, match="frozen"):
        settings.match = Matching()


S3 = f"""
[s3]
endpoint = "https://minio.example"
region = "eu-west-1"
access_key_id = "AKIASHARED"
secret_access_key = "{SECRET}"
"""


def test_what_s3_says_once_holds_for_every_bucket_that_says_nothing_else(given):
    settings = given(
        S3
        + '[clips]\nurl = "s3://clips"\n'
        + '[vault]\nurl = "S3://vault"\nregion = "us-east-1"\naccess_key_id = "AKIAOWN"\n'
        + 'secret_access_key = "own"\n'
    )
    clips, vault = settings.clips, settings.vault
    assert (clips.endpoint, clips.region) == ("https://minio.example", "eu-west-1")
    assert clips.access_key_id == "AKIASHARED"
    assert clips.secret_access_key is not None
    assert clips.secret_access_key.get_secret_value() == SECRET
    assert (vault.endpoint, vault.region) == ("https://minio.example", "us-east-1")
    assert (vault.access_key_id, vault.secret_access_key.get_secret_value()) == ("AKIAOWN", "own")
    assert settings.anchor_bucket.endpoint is None, "it is no bucket at all"


def test_half_a_credential_is_not_filled_up_with_the_shared_one(given):
    settings = given(S3 + '[clips]\nurl = "s3://clips"\naccess_key_id = "AKIAOWN"\n')
    assert settings.clips.secret_access_key is None


@pytest.mark.parametrize("url", ["clips", "/srv/clips", "file:///srv/clips", "gs://clips"])
def test_other_storage_takes_nothing_of_s3(given, url):
    clips = given(S3 + f'[clips]\nurl = "{url}"\n').clips
    assert (clips.endpoint, clips.region, clips.access_key_id) == (None, None, None)


def test_s3_is_shared_also_where_the_environment_says_it(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_S3__ENDPOINT", "https://other.example")
    monkeypatch.setenv("HASHMATCH_CLIPS__URL", "s3://clips")
    assert given("").clips.endpoint == "https://other.example"


def shown_of(settings: Settings) -> list[Effective]:
    return list(effective(settings.home / "hashmatch.toml"))


def test_every_setting_is_shown_with_where_it_comes_from(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_MATCH__DISTANCE", "12")
    monkeypatch.setenv("hashmatch_run__workers", "2")
    monkeypatch.setenv("HASHMATCH_LISTS", '{"max_age_days": 7}')
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://boto.example")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    settings = given(
        '[s3]\nregion = "eu-west-1"\n[match]\ndistance = 20\nquality = 60\n'
        '[clips]\nurl = "s3://clips"\ninclude = ["live/**"]\n'
    )
    shown = {one.name: one for one in shown_of(settings)}
    assert list(shown) == [f"{section}.{key}" for section, key in NAMES]
    file = str(settings.home / "hashmatch.toml")
    origins = {
        "match.distance": (12, "environment", "HASHMATCH_MATCH__DISTANCE"),
        "match.quality": (60, file, None),
        "match.min_frames": (2, "default", None),
        "run.workers": (2, "environment", "hashmatch_run__workers"),
        "lists.max_age_days": (7, "environment", "HASHMATCH_LISTS"),
        "lists.max_shrink": (0.2, "default", None),
        "clips.include": (["live/**"], file, None),
        "clips.region": ("eu-west-1", "[s3]", None),
        "clips.endpoint": ("https://boto.example", "environment", "AWS_ENDPOINT_URL"),
        "clips.access_key_id": (None, "default", None),
        "vault.endpoint": (None, "default", None),
        "decode.sampling": ("reference", "default", None),
    }
    for name, wanted in origins.items():
        assert shown[name][1:] == wanted, name


@pytest.mark.parametrize(
    ("section", "line", "kept"),
    [
        ("s3", "secret_access_key = '{}'", ""),
        ("clips", "secret_access_key = '{}'", ""),
        ("withdraw", "secret = '{}'", ""),
        ("withdraw", "url = 'https://hooks.example/{}/x'", "hooks.example"),
        ("withdraw", "command = ['/bin/tell', '--token', '{}']", "/bin/tell"),
        ("anchors", "command = ['/bin/publish', '{}']", "/bin/publish"),
        ("anchors", "timestamp_url = 'https://me:{}@tsa.example/tsr'", "tsa.example/tsr"),
        ("anchors", "timestamp_url = 'https://{}@tsa.example/tsr?t={}#{}'", "tsa.example/tsr"),
        ("database", "url = 'postgresql://me:{}/@@db.example/x?password={}'", "me:(hidden)@db.ex"),
        ("database", "url = 'postgresql+psycopg://me:{}@db.example/x'", "me:(hidden)@db.ex"),
        ("clips", "url = 's3://AKIA:{}@bucket'", "@bucket"),
    ],
)
def test_no_secret_is_shown_among_the_settings(given, section, line, kept):
    text = line.replace("{}", SECRET)
    shown = shown_of(given(f"[{section}]\n{text}\n"))
    assert SECRET not in str(shown)
    name = f"{section}.{line.partition(' ')[0]}"
    assert kept in str(next(one.value for one in shown if one.name == name))


def test_no_secret_of_the_environment_is_shown(given, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://me:{SECRET}@boto.example")
    monkeypatch.setenv("HASHMATCH_S3__SECRET_ACCESS_KEY", SECRET)
    shown = {one.name: one for one in shown_of(given('[clips]\nurl = "s3://clips"\n'))}
    assert SECRET not in str(shown)
    assert shown["clips.endpoint"].variable == "AWS_ENDPOINT_URL_S3"


def test_a_variable_with_one_underscore_too_few_is_refused(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_CLIPS_URL", "s3://clips")
    with pytest.raises(
        ConfigError, match=r"HASHMATCH_CLIPS_URL: .* did you mean HASHMATCH_CLIPS__URL"
    ):
        load(given(""))


def test_a_bad_value_of_a_whole_section_names_its_variable(given, monkeypatch):
    monkeypatch.setenv("HASHMATCH_CLIPS", '{"url": 3}')
    with pytest.raises(ConfigError, match=r"^HASHMATCH_CLIPS: \[clips\] url"):
        load(given(""))


def test_a_file_that_is_not_utf_8_is_refused_in_words(tmp_path):
    file = tmp_path / "hashmatch.toml"
    file.write_text("[clips]", "utf-16")
    with pytest.raises(ConfigError, match="cannot be read: it is not UTF-8 text") as error:
        load(file)
    assert "init" not in error.value.remedy
