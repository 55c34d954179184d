"""The platform told by a webhook: a signed POST, and signed GETs to where it wants to be asked.

    webhook = open_webhook(settings.withdraw)
    reply = webhook.ask(Message("msg_…", '{"type":"clip.withdraw",…}', poll=None))

What each answer means is in docs/platform.md. Nothing is asked anywhere but at the configured
origin: redirects are not followed, an address to ask at that lies elsewhere is refused, and proxies
named in the environment are not used. No text made here has the address's path or query.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from hashmatch.config import Withdraw
from hashmatch.custody.notify.channel import Message, PlatformUnreachable, Reply, Status, bounded
from hashmatch.custody.notify.standard_webhooks import parse_secrets, signed
from hashmatch.errors import ConfigError

MOST_ANSWER = 64 * 2**10
MOST_ADDRESS = 2000
# Seconds that a platform may keep us waiting by its own word.
LONGEST_WAIT = 3600.0

_LENGTH = {"content-length", "transfer-encoding"}
_AGAIN = (408, 409, 425, 429)
_POLL_GONE = (404, 410)
_REFUSALS = {
    401: "its key does not fit: withdraw.secret is the one it was given",
    403: "it does not let this host in",
    404: "nothing answers at that address: check withdraw.url",
    410: "it takes no more messages at that address: check withdraw.url",
}


class _Answered(NamedTuple):
    code: int
    headers: Mapping[str, str]
    content: bytes


class _Unusable(Exception):
    """An answer that came, and cannot be taken for one."""


class Webhook:
    """One endpoint. url, timeout: as checked by open_webhook; timeout in seconds."""

    how = "webhook"

    def __init__(self, url: str, secrets: tuple[bytes, ...], timeout: float) -> None:
        self._url = url
        self._origin = _origin(urlsplit(url))
        self._secrets = secrets
        self._timeout = timeout
        self._http = urllib3.PoolManager(cert_reqs="CERT_REQUIRED", num_pools=1, maxsize=1)

    def ask(self, message: Message) -> Reply:
        """Send the message, or, if the platform gave an address to ask at, ask there."""
        # One that was given by another platform, before the settings were changed, is not asked.
        poll = message.poll if message.poll and self._is_ours(message.poll) else None
        try:
            if poll is None:
                answered = self._exchange("POST", self._url, message.id, message.body.encode())
            else:
                answered = self._exchange("GET", poll, message.id, b"")
            return self._reply(answered, poll)
        except (HTTPError, OSError) as error:
            return Reply(Status.NO_ANSWER, problem=self._trouble(error), poll=poll)
        except _Unusable as error:
            return Reply(Status.NO_ANSWER, answered.code, problem=str(error), poll=poll)

    def check(self) -> str:
        """Connects, over TLS where the address has it, and sends no request."""
        scheme, host, port = self._origin
        try:
            with socket.create_connection((host, port), self._timeout) as connection:
                if scheme == "https":
                    context = ssl.create_default_context()
                    context.wrap_socket(connection, server_hostname=host).close()
        except OSError as error:
            raise PlatformUnreachable(problem=self._trouble(error)) from error
        return f"told by webhook; {host}, port {port}, takes connections"

    def _exchange(self, method: str, url: str, message: str, body: bytes) -> _Answered:
        headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "hashmatch",
            **signed(self._secrets, message, int(datetime.now(UTC).timestamp()), body),
        }
        if body:
            headers["content-type"] = "application/json"
        ends = time.monotonic() + self._timeout
        response = self._http.request(
            method,
            url,
            body=body or None,
            headers=headers,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(total=self._timeout),
            preload_content=False,
            decode_content=False,
        )
        try:
            content = b""
            # One byte more, to tell a long answer from one that just fits.
            while len(content) <= MOST_ANSWER and (piece := response.read1(MOST_ANSWER)):
                content += piece
                if time.monotonic() > ends:
                    raise TimeoutError
        finally:
            # What was not read to its end cannot be used for the next request.
            response.close()
        received = {name.lower(): value for name, value in response.headers.items()}
        return _Answered(response.status, received, content)

    def _reply(self, answered: _Answered, poll: str | None) -> Reply:
        code = answered.code
        wait = _retry_after(answered.headers.get("retry-after"))
        if code in _AGAIN or code >= 500:
            return Reply(
                Status.NO_ANSWER, code, f"the platform answers {code}", wait=wait, poll=poll
            )
        if poll is not None and code in _POLL_GONE:
            return Reply(Status.PENDING, code, "the platform forgot the message", wait=wait)
        if not 200 <= code < 300:
            return Reply(Status.REFUSED, code, _refusal(code), bounded(_text(answered.content)))
        said = _said(answered)
        status, detail = said.get("status"), bounded(str(said.get("detail") or ""))
        if status == "failed":
            problem = "the platform says that it failed"
            return Reply(Status.REFUSED, code, problem, detail)
        if status == "pending" or (code == 202 and status is None):
            try:
                at = self._poll_address(answered.headers.get("location") or said.get("poll"))
            except ValueError as error:
                return Reply(Status.REFUSED, code, str(error), detail)
            problem = "the platform has taken the message and is not done yet"
            return Reply(Status.PENDING, code, problem, detail, wait, at or poll)
        # Whoever asks how far it is must be told; any page may answer 200.
        if status == "done" or (status is None and poll is None):
            return Reply(Status.DONE, code, detail=detail)
        problem = "the platform answers without a status of done, pending or failed"
        return Reply(Status.REFUSED, code, problem, detail)

    def _poll_address(self, given: Any) -> str | None:
        """Where to ask how far it is. Raises ValueError for what is not at our origin."""
        if given is None:
            return None
        elsewhere = "the platform names an address to ask at that is not its own: not asked"
        if not isinstance(given, str) or len(given) > MOST_ADDRESS or not _plain(given):
            raise ValueError(elsewhere)
        try:
            address = urldefrag(urljoin(self._url, given)).url
        except ValueError:
            raise ValueError(elsewhere) from None
        if not self._is_ours(address):
            raise ValueError(elsewhere)
        return address

    def _is_ours(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            return _origin(parts) == self._origin and "@" not in parts.netloc
        except ValueError:
            return False

    def _trouble(self, error: Exception) -> str:
        """In our words: the library's have the whole address."""
        scheme, host, port = self._origin
        there = f"the platform ({scheme}://{host}:{port})"
        if isinstance(error, SSLError | ssl.SSLError):
            inner = error.args[0] if error.args else None
            why = getattr(error, "verify_message", "") or getattr(inner, "verify_message", "")
            return f"{there} cannot be trusted: {why or 'TLS failed'}"
        if isinstance(error, NameResolutionError | socket.gaierror):
            return f"{there} cannot be reached: there is no such host"
        # First: it is also a kind of ConnectTimeoutError.
        if isinstance(error, NewConnectionError | ConnectionRefusedError):
            return f"{there} cannot be reached"
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError):
            return f"{there} does not answer within {self._timeout:g} seconds"
        if isinstance(error, ProtocolError):
            return f"{there} broke the connection before its answer was whole"
        return f"{there} cannot be asked ({type(error).__name__})"


def open_webhook(withdraw: Withdraw) -> Webhook:
    """The endpoint that the settings name. Raises ConfigError, without the address or the secret."""
    url = withdraw.url
    if not url:
        raise ConfigError(source="withdraw.url", problem="it is missing, and the webhook needs it")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not _plain(url) or parts.fragment or len(url) > MOST_ADDRESS:
        raise ConfigError(source="withdraw.url", problem="it is no address; https://host/path is")
    if "@" in parts.netloc:
        problem = "it has a user or a password; requests are signed with withdraw.secret instead"
        raise ConfigError(source="withdraw.url", problem=problem)
    if parts.scheme == "http" and not _on_this_host(str(parts.hostname)):
        problem = "it begins with http://, so others could read it on the way; https:// is needed"
        raise ConfigError(source="withdraw.url", problem=problem)
    secret = withdraw.secret.get_secret_value() if withdraw.secret is not None else ""
    try:
        secrets = parse_secrets(secret)
    except ValueError as error:
        problem = f"it {error}. `echo whsec_$(openssl rand -base64 32)` makes one"
        raise ConfigError(source="withdraw.secret", problem=problem) from None
    return Webhook(url, secrets, withdraw.timeout_seconds)


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url and "\\" not in url


def _on_this_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(code: int) -> str:
    if 300 <= code < 400:
        why = "it wants to be asked elsewhere: set withdraw.url to the address that answers"
    else:
        why = _REFUSALS.get(code, "it does not take the message")
    return f"the platform answers {code}: {why}"


def _said(answered: _Answered) -> dict[str, Any]:
    """The JSON object of an answer, empty where it is none. Raises _Unusable."""
    if answered.code != 204 and not _LENGTH & answered.headers.keys():
        # It may as well have been cut among its headers: http.client reads on as if they had ended.
        raise _Unusable("the platform's answer does not say how long it is")
    if len(answered.content) > MOST_ANSWER:
        raise _Unusable(f"the platform's answer has more than {MOST_ANSWER} bytes")
    text = _text(answered.content).strip()
    is_json = "json" in answered.headers.get("content-type", "") or text.startswith("{")
    if text and is_json:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            raise _Unusable("the platform's answer is JSON that cannot be read") from None
        if isinstance(said, dict):
            return {str(name): value for name, value in said.items()}
    return {}


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or a date. Not more than LONGEST_WAIT; None for nonsense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    # Without a zone it is GMT (RFC 9110, 5.6.7).
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), LONGEST_WAIT)
