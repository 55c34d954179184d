"""Standard Webhooks, held against the vectors and the library of those who wrote it down."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from hashmatch.custody.notify.standard_webhooks import parse_secrets, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()

secrets = st.binary(min_size=24, max_size=64)


def written(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode()


def test_a_signature_is_that_of_the_published_vector() -> None:
    headers = signed(
        parse_secrets(SECRET),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(secrets, st.text().map(str.encode), st.from_regex(r"\Amsg_[a-z2-7]{32}\Z"))
def test_the_published_library_accepts_what_was_signed_and_nothing_else(secret, body, message):
    headers = signed([secret], message, int(time.time()), body)
    Webhook(secret).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, {**headers, "webhook-id": "msg_other"}, json_parse=False)


def test_while_a_secret_is_replaced_either_one_verifies() -> None:
    headers = signed(parse_secrets(f"{SECRET} {OTHER}"), "msg_a", int(time.time()), b"{}")
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(b"{}", headers)


@given(st.lists(secrets, min_size=1, max_size=3))
def test_a_secret_is_read_back_as_it_was(keys):
    assert parse_secrets(" ".join(map(written, keys))) == tuple(keys)


def test_a_secret_without_its_padding_is_the_same() -> None:
    assert parse_secrets(OTHER.rstrip("=")) == parse_secrets(OTHER)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "does not begin with whsec_"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", "is not base64"),
        ("whsec_é", "is not base64"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "has 23 bytes; it takes 24 to 64"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "has 65 bytes; it takes 24 to 64"),
        (f"{SECRET} hunter2hunter2", "does not begin with whsec_"),
    ],
)
def test_what_is_no_secret_is_refused_without_being_repeated(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_secrets(text)
    for word in text.split():
        assert word not in str(refused.value)


@given(st.text())
def test_any_text_is_a_secret_or_refused(text):
    try:
        found = parse_secrets(text)
    except ValueError:
        return
    assert all(24 <= len(secret) <= 64 for secret in found)
