"""The platform told by a webhook, over real HTTP: answers of every kind, and every way to fail."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from platform_parts import (
    AT,
    KEY,
    SECRET,
    Asked,
    Cases,
    Receiver,
    Slept,
    cases,
    cut,
    receiver,
    say,
    sqlite_cases,
)

from hashmatch.config import Settings, Withdraw
from hashmatch.custody.notify.outbox import Kind
from hashmatch.custody.notify.platform import REST, Answer, Clock, Platform, open_platform
from hashmatch.custody.notify.webhook import MOST_ANSWER, Webhook, open_webhook
from hashmatch.errors import ConfigError

__all__ = ["cases", "receiver", "sqlite_cases"]


def webhook(url: str, timeout: float = 5) -> Webhook:
    return open_webhook(
        Withdraw(how="webhook", url=url, secret=SECRET, timeout_seconds=timeout)  # type: ignore[arg-type]
    )


class Host:
    """A run on a scan host: one case, its message, the platform, and a clock set by hand."""

    def __init__(self, cases: Cases, receiver: Receiver, wait: float = 60) -> None:
        self.cases = cases
        self.receiver = receiver
        self.wait = wait
        self.time = Slept()
        self.message = cases.put(cases.open())
        self.next_run()

    def next_run(self, timeout: float = 5) -> None:
        self.platform = Platform(
            self.cases.db, webhook(self.receiver.url, timeout), self.wait, self.time.clock
        )

    def deliver(self, *answers) -> Answer:
        if answers:
            self.receiver.answers = list(answers)
        return self.platform.deliver(self.message)

    @property
    def asked(self) -> list[Asked]:
        return self.receiver.asked

    def more(self, count: int) -> list[str]:
        names = [f"case-{number}" for number in range(count)]
        return [self.cases.put(self.cases.open(name, key=f"{name}.mp4")) for name in names]


@pytest.fixture
def host(sqlite_cases: Cases, receiver: Receiver) -> Host:
    return Host(sqlite_cases, receiver)


def test_the_platform_is_told_and_its_answer_is_on_record(cases: Cases, receiver: Receiver):
    host = Host(cases, receiver)
    answer = host.deliver(say(200, {"status": "done", "detail": "gone from 14 caches"}))
    assert answer == Answer(host.message, "webhook", True, "done", 200, 1, None)
    (asked,) = host.asked
    assert (asked.method, asked.path, asked.genuine) == ("POST", "/clips?of=us", True)
    assert asked.id == host.message
    assert asked.headers["content-type"] == "application/json"
    assert json.loads(asked.body)["data"]["clip"]["id"] == "c-1234"
    row = cases.row(host.message)
    assert row.answer == {
        "how": "webhook",
        "status": "done",
        "code": 200,
        "detail": "gone from 14 caches",
    }
    assert row.answered_at == AT
    assert cases.leaves("platform-answered") == [
        {
            "case": "case-a",
            "message": host.message,
            "how": "webhook",
            "status": "done",
            "code": 200,
            "attempts": 1,
        }
    ]
    assert "caches" not in cases.log()


def test_what_was_answered_is_not_asked_again(cases: Cases, receiver: Receiver):
    host = Host(cases, receiver)
    first = host.deliver(say(204))
    host.next_run()
    assert host.deliver(say(500)) == first
    assert len(host.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        say(200),
        say(201, "created", location="/clips/1"),
        say(204),
        say(200, "<html>thanks</html>", content_type="text/html"),
        say(200, {"ok": True}),
        say(200, ["done"]),
        say(202, {"status": "done"}),
    ],
)
def test_any_success_is_done_unless_it_says_otherwise(host: Host, answer):
    assert host.deliver(answer).done
    assert len(host.asked) == 1


def test_a_server_that_fails_is_asked_again_under_the_same_id_with_a_new_signature(host: Host):
    answer = host.deliver(say(500), say(502), say(503), say(429), say(200))
    assert (answer.done, answer.attempts) == (True, 5)
    assert {asked.id for asked in host.asked} == {host.message}
    assert len({asked.body for asked in host.asked}) == 1
    assert all(asked.genuine for asked in host.asked)


def test_it_is_asked_less_and_less_often(host: Host):
    host.deliver(say(500))
    slept = host.time.slept
    assert 4 <= len(slept) <= 7
    for nth, seconds in enumerate(slept):
        assert 0.8 <= seconds / min(2**nth, 30) <= 1.2
    assert sum(slept) <= 60


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 501, 503, 599])
def test_what_may_pass_is_tried_again(host: Host, code: int):
    assert host.deliver(say(code), say(200)).done


@pytest.mark.parametrize("code", [301, 302, 307, 308, 400, 401, 403, 404, 410, 413, 422, 451])
def test_a_refusal_is_for_a_person_and_is_tried_again_by_the_next_run(host: Host, code: int):
    answer = host.deliver(say(code, "no such clip"))
    assert (answer.done, answer.status, answer.code) == (False, "refused", code)
    assert f"answers {code}" in answer.problem
    assert len(host.asked) == 1
    assert host.cases.row(host.message).answer["detail"] == "no such clip"
    host.time.go_on(3600)
    host.next_run()
    assert host.deliver(say(200)).done
    assert host.cases.row(host.message).problem is None


def test_a_failure_of_the_platform_is_a_refusal(host: Host):
    answer = host.deliver(say(200, {"status": "failed", "detail": "the cache is on strike"}))
    assert (answer.done, answer.status) == (False, "refused")
    assert answer.problem == "the platform says that it failed"


@pytest.mark.parametrize("status", ["ok", "DONE", "", 0, ["done"], True])
def test_a_status_that_nobody_knows_is_not_taken_for_done(host: Host, status):
    answer = host.deliver(say(200, {"status": status}))
    assert (answer.done, answer.status) == (False, "refused")


def test_an_answer_that_is_late_is_asked_for_where_the_platform_says(host: Host):
    pending = say(200, {"status": "pending"})
    answer = host.deliver(
        say(202, location="/jobs/7?t=1#now"),
        pending,
        pending,
        pending,
        say(200, {"status": "done"}),
    )
    assert (answer.done, answer.attempts) == (True, 5)
    assert [(one.method, one.path) for one in host.asked] == [
        ("POST", "/clips?of=us"),
        *[("GET", "/jobs/7?t=1")] * 4,
    ]
    assert all(one.genuine and one.id == host.message for one in host.asked)


def test_the_address_to_ask_at_may_be_in_the_body_and_may_change(host: Host):
    answer = host.deliver(
        say(200, {"status": "pending", "poll": "jobs/1"}),
        say(200, {"status": "pending", "poll": f"{host.receiver.origin}/jobs/2"}),
        say(200, {"status": "done"}),
    )
    assert answer.done
    assert [one.path for one in host.asked] == ["/clips?of=us", "/jobs/1", "/jobs/2"]


def test_without_an_address_to_ask_at_the_same_message_is_sent_again(host: Host):
    answer = host.deliver(say(202), say(200, {"status": "pending"}), say(200))
    assert answer.done
    assert [(one.method, one.id) for one in host.asked] == [("POST", host.message)] * 3


def test_the_next_run_goes_on_asking_where_the_last_one_was_told_to(cases: Cases, receiver):
    host = Host(cases, receiver)
    answer = host.deliver(say(202, location="/jobs/7"), say(202))
    assert (answer.done, answer.status) == (False, "pending")
    assert answer.problem == "the platform has taken the message and is not done yet"
    host.receiver.asked.clear()
    host.time.go_on(3600)
    host.next_run()
    assert host.deliver(say(200, {"status": "done"})).done
    assert [(one.method, one.path) for one in host.asked] == [("GET", "/jobs/7")]
    assert [leaf["status"] for leaf in cases.leaves("platform-answered")] == ["pending", "done"]


def test_an_address_to_ask_at_that_any_page_may_have_is_not_taken_for_done(host: Host):
    answer = host.deliver(say(202, location="/jobs/7"), say(200, "<html>hello</html>"))
    assert (answer.done, answer.status) == (False, "refused")


@pytest.mark.parametrize("code", [404, 410])
def test_a_platform_that_forgot_the_job_is_told_again(host: Host, code: int):
    answer = host.deliver(say(202, location="/jobs/7"), say(code), say(200))
    assert answer.done
    assert [one.method for one in host.asked] == ["POST", "GET", "POST"]


def test_a_server_that_fails_while_asked_how_far_it_is_is_asked_there_again(host: Host):
    answer = host.deliver(
        say(202, location="/jobs/7"), say(503), cut(), say(200, {"status": "done"})
    )
    assert answer.done
    assert [one.method for one in host.asked] == ["POST", "GET", "GET", "GET"]


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "//elsewhere.example/jobs/7",
        "https://{netloc}/jobs/7",
        "http://user:word@{netloc}/jobs/7",
        "http://{netloc}@elsewhere.example/",
        "http://127.0.0.1:1/",
        "http://[::1",
        "file:///etc/passwd",
        "\\\\elsewhere.example\\jobs",
        "/" + "7" * 3000,
        "/jobs/ü",
        7,
        ["/jobs/7"],
    ],
)
def test_an_address_to_ask_at_that_is_elsewhere_is_refused_and_never_asked(host: Host, address):
    if isinstance(address, str):
        address = address.replace("{netloc}", host.receiver.origin.removeprefix("http://"))
    answer = host.deliver(say(200, {"status": "pending", "poll": address}))
    assert (answer.done, answer.status) == (False, "refused")
    assert "not asked" in answer.problem
    assert host.cases.row(host.message).poll_url is None
    assert len(host.asked) == 1


def test_an_address_of_another_platform_is_not_asked_after_the_settings_changed(
    host: Host,
):
    host.deliver(say(202, location="/jobs/7"), say(202))
    other = Receiver()
    try:
        host.time.go_on(3600)
        host.receiver.asked.clear()
        platform = Platform(host.cases.db, webhook(other.url), 60, host.time.clock)
        assert platform.deliver(host.message).done
        assert [one.method for one in other.asked] == ["POST"]
        assert host.asked == []
    finally:
        other.stop()


def test_redirects_are_not_followed(host: Host):
    answer = host.deliver(say(307, location=f"{host.receiver.origin}/elsewhere"), say(200))
    assert (answer.status, answer.code, len(host.asked)) == ("refused", 307, 1)
    assert "set withdraw.url to the address that answers" in answer.problem


def test_proxies_of_the_environment_are_not_used(host: Host, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert host.deliver(say(200)).done


def test_the_time_that_the_platform_asks_for_is_given_to_it(host: Host):
    assert host.deliver(say(503, retry_after="17"), say(200)).done
    assert host.time.slept == [17]


@pytest.mark.parametrize("after", ["-1", "soon", "1e9", "٣", "", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_wait_that_makes_no_sense_is_not_waited(host: Host, after: str):
    header = after.encode("latin-1", "replace").decode("latin-1")
    assert host.deliver(say(429, retry_after=header), say(200)).done
    assert host.time.slept[0] <= 1.2


@pytest.mark.parametrize("after", ["999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_the_platform_cannot_put_us_off_for_ever(host: Host, after: str):
    answer = host.deliver(say(503, retry_after=after))
    assert (answer.done, len(host.asked), host.time.slept) == (False, 1, [])
    assert host.cases.row(host.message).next_at == AT + timedelta(hours=1)
    host.next_run()
    host.time.go_on(1800)
    assert not host.deliver(say(200)).done
    assert len(host.asked) == 1
    host.time.go_on(1801)
    assert host.deliver().done


def test_a_message_that_is_put_off_by_a_clock_that_was_wrong_is_due(host: Host):
    host.time.wall = AT + timedelta(days=3650)
    host.deliver(say(503))
    host.time.wall = AT
    host.next_run()
    assert host.deliver(say(200)).done
    assert host.asked[-1].genuine


def test_a_clock_that_is_put_back_while_a_run_waits_leaves_the_rest_to_the_next_run(host: Host):
    def back(seconds: float) -> None:
        host.time.seconds += seconds
        host.time.wall -= timedelta(hours=5)

    clock = Clock(lambda: host.time.wall, lambda: host.time.seconds, back)
    answer = Platform(host.cases.db, webhook(host.receiver.url), 60, clock).deliver(host.message)
    assert answer.done


@pytest.mark.parametrize(
    "broken",
    [
        cut(),
        cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf"),
        cut(b"HTTP/1.1 200 OK\r\nContent-Le"),
        cut(b"HTTP/1.1 200 OK\r\nServer: x\r\n"),
        cut(b"\x00\xff not http at all \r\n\r\n"),
        cut(b"HTTP/1.1 abc OK\r\n\r\n"),
        cut(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"),
        say(200, b"{ not json", content_type="application/json"),
        say(200, b"[" * 60_000, content_type="application/json"),
        say(200, b"{" + b"9" * 5000, content_type="text/plain"),
        say(200, b"x" * (MOST_ANSWER + 1)),
        say(200, b"\x1f\x8b\x08 no gzip", content_type="application/json", content_encoding="gzip"),
    ],
)
def test_an_answer_that_is_broken_is_none_and_the_same_message_is_sent_again(host: Host, broken):
    answer = host.deliver(broken, say(200))
    assert (answer.done, answer.attempts) == (True, 2)
    assert [one.id for one in host.asked] == [host.message] * 2


def test_an_answer_of_the_most_bytes_is_read(host: Host):
    said = json.dumps({"status": "pending"}).encode()
    answer = host.deliver(say(200, said + b" " * (MOST_ANSWER - len(said))), say(200))
    assert (answer.done, answer.attempts) == (True, 2)


def test_a_server_that_hangs_is_given_up_after_the_timeout(host: Host):
    host.next_run(timeout=0.2)
    answer = host.deliver(host.receiver.hang(), say(200))
    assert answer.done
    host.receiver.stopping.set()


def test_a_server_that_never_ends_its_answer_is_given_up_after_the_timeout(host: Host):
    def drip(request) -> None:
        request.send_response(200)
        request.end_headers()
        while not host.receiver.stopping.wait(0.05):
            request.wfile.write(b" ")
            request.wfile.flush()

    host.wait = 0
    host.next_run(timeout=0.3)
    answer = host.deliver(drip)
    assert "does not answer within 0.3 seconds" in answer.problem


def test_a_platform_that_is_not_there_is_a_problem_that_says_so_and_no_more(host: Host):
    host.receiver.stop()
    answer = host.deliver()
    origin = host.receiver.origin
    assert answer.problem == f"the platform ({origin}) cannot be reached"
    assert (answer.status, answer.done) == ("no-answer", False)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://nobody.invalid/hook?token=geheim", "there is no such host"),
        ("https://{netloc}/hook?token=geheim", "cannot be trusted"),
    ],
)
def test_trouble_names_the_host_and_not_what_is_secret_in_the_address(
    host: Host, url: str, problem: str
):
    url = url.replace("{netloc}", host.receiver.origin.removeprefix("http://"))
    reply = webhook(url).ask(_message(host))
    assert problem in reply.problem
    assert "geheim" not in reply.problem
    assert SECRET not in reply.problem


def _message(host: Host):
    from hashmatch.custody.notify.channel import Message

    return Message(host.message, host.cases.row(host.message).body, None)


def test_a_dead_platform_does_not_cost_every_case_its_wait(host: Host):
    messages = [host.message, *host.more(50)]
    host.receiver.answers = [say(500)]
    answers = [host.platform.deliver(message) for message in messages]
    assert not any(answer.done for answer in answers)
    assert all("answers 500" in answer.problem for answer in answers)
    assert sum(host.time.slept) <= 60
    assert {asked.id for asked in host.asked} == {host.message}


def test_a_platform_that_comes_back_is_told_in_the_same_run(host: Host):
    first, second = host.more(2)
    host.deliver(say(500))
    assert not host.platform.deliver(first).done
    host.receiver.answers = [say(200)]
    host.time.go_on(REST)
    assert host.platform.deliver(first).done
    assert host.platform.deliver(second).done
    assert host.deliver().done


def test_a_platform_that_is_slow_for_all_is_told_all_and_costs_two_waits(host: Host):
    messages = [host.message, *host.more(30)]
    host.receiver.answers = [say(202)]
    answers = [host.platform.deliver(message) for message in messages]
    assert {answer.status for answer in answers} == {"pending"}
    assert {asked.id for asked in host.asked} == set(messages)
    assert sum(host.time.slept) <= 120


def test_a_platform_that_is_slow_for_one_clip_is_waited_for_with_the_others(host: Host):
    first, second = host.more(2)
    host.deliver(say(202))
    later = [say(202), say(202), say(202), say(202), say(200)]
    host.receiver.answers = list(later)
    assert host.platform.deliver(first).done
    host.receiver.answers = list(later)
    assert host.platform.deliver(second).done


def test_a_release_that_was_overtaken_is_never_sent(host: Host):
    restored = host.cases.put("case-a", Kind.RESTORED)
    host.cases.reopen("case-a", detected_at=AT + timedelta(days=1))
    withdrawn = host.cases.put("case-a")
    for message in (host.message, restored):
        answer = host.platform.deliver(message)
        assert (answer.done, answer.status) == (False, "overtaken")
        assert "overtaken" in answer.problem
    assert host.platform.deliver(withdrawn).done
    assert {asked.id for asked in host.asked} == {withdrawn}


def test_what_the_platform_says_is_kept_short_printable_and_without_digests(host: Host):
    said = "no etag 9e107d9d372bb6826bd81d3542a419d6\n\x1b[31mred\ud800 " + "word " * 200
    host.deliver(say(200, {"status": "failed", "detail": said}))
    detail = host.cases.row(host.message).answer["detail"]
    assert detail.startswith("no etag … [31mred word word")
    assert len(detail) <= 200


DIES = """
import os, signal, sys
from pathlib import Path
from hashmatch.config import Withdraw
from hashmatch.custody.notify import outbox
from hashmatch.custody.notify.platform import Platform
from hashmatch.custody.notify.webhook import open_webhook
from hashmatch.db.session import Database

database, url, secret, message = sys.argv[1:]
outbox.note = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
db = Database.connect(database, Path.cwd())
webhook = open_webhook(Withdraw(how="webhook", url=url, secret=secret))
Platform(db, webhook, 0).deliver(message)
"""


def test_a_process_killed_after_sending_is_followed_by_one_that_sends_the_same(
    cases: Cases, receiver: Receiver, database_url: str
):
    host = Host(cases, receiver)
    killed = subprocess.run(
        [sys.executable, "-c", DIES, database_url, receiver.url, SECRET, host.message],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(host.asked) == 1
    assert host.deliver(say(200, {"status": "done"})).done
    first, second = host.asked
    assert (first.id, first.body) == (second.id, second.body)
    assert len(cases.leaves("platform-answered")) == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return folder


def test_a_certificate_is_checked(host: Host, certificate: Path, monkeypatch):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server = host.receiver._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = host.receiver.origin.replace("http://127.0.0.1", "https://localhost")
    reply = webhook(url).ask(_message(host))
    assert "cannot be trusted: self-signed certificate" in reply.problem
    assert host.asked == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    assert webhook(url).ask(_message(host)).status == "done"
    other = url.replace("localhost", "127.0.0.1")
    assert "cannot be trusted" in webhook(other).ask(_message(host)).problem


def settings(**withdraw) -> Settings:
    return Settings(withdraw=Withdraw(how="webhook", **withdraw))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (None, "it is missing"),
        ("", "it is missing"),
        ("platform.example/hook", "it is no address"),
        ("ftp://platform.example/hook", "it is no address"),
        ("https://", "it is no address"),
        ("https://[::1/hook", "it is no address"),
        ("https://platform.example:99999/hook", "it is no address"),
        ("https://platform.example/ge heim", "it is no address"),
        ("https://platform.example/geheim#x", "it is no address"),
        ("https://me:geheim@platform.example/", "requests are signed with withdraw.secret"),
        ("http://platform.example/geheim", "https:// is needed"),
        ("http://127.0.0.1.platform.example/geheim", "https:// is needed"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_anything_is_asked(
    host: Host, url: str | None, problem: str
):
    with pytest.raises(ConfigError, match=problem) as refused:
        open_platform(host.cases.db, settings(url=url, secret=SECRET))
    assert refused.value.details["source"] == "withdraw.url"
    assert "geheim" not in f"{refused.value.message} {refused.value.remedy}"


@pytest.mark.parametrize(
    "url", ["http://localhost:8080/", "http://[::1]:8080/", "http://127.9.9.9"]
)
def test_on_this_host_the_address_may_be_http(host: Host, url: str):
    open_platform(host.cases.db, settings(url=url, secret=SECRET))


@pytest.mark.parametrize("secret", [None, "geheim", "whsec_geheim", "whsec_" + "A" * 100])
def test_a_secret_that_cannot_be_one_is_refused_without_being_repeated(host: Host, secret):
    with pytest.raises(ConfigError, match=r"withdraw\.secret") as refused:
        open_platform(host.cases.db, settings(url="https://platform.example/", secret=secret))
    assert "geheim" not in f"{refused.value.message} {refused.value.remedy}"


def test_a_port_that_nobody_listens_on_is_told_within_the_timeout(host: Host):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert "cannot be reached" in webhook(url).ask(_message(host)).problem


def test_the_receiver_in_the_documentation_acts_once_on_what_is_genuine(host: Host, tmp_path: Path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "platform.md").read_text("utf-8")
    (tmp_path / "receiver.py").write_text(page.split("```python\n")[1].split("```")[0])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "receiver.py")],
        env={**os.environ, "SECRET": SECRET, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        channel = webhook(f"http://127.0.0.1:{port}/hook")
        replies = [channel.ask(_message(host))]
        while replies[0].code is None:
            time.sleep(0.05)
            replies = [channel.ask(_message(host))]
        replies.append(channel.ask(_message(host)))
        other = open_webhook(
            Withdraw(url=f"http://127.0.0.1:{port}/", secret="whsec_" + "A" * 32)  # type: ignore[arg-type]
        )
        assert other.ask(_message(host)).code == 401
    finally:
        process.terminate()
        said = process.communicate()[0]
    assert [(reply.status, reply.code) for reply in replies] == [("done", 200)] * 2
    assert said.splitlines() == [f"disable purge {KEY}"]
