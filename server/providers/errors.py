"""From what went wrong with a vendor to a ProviderError: one table for every provider.

The sentences are ours and say what can be done. A vendor's own text is never passed on: it may hold a
piece of a key or of a prompt. Its machine-readable `code` and `type` are looked at, and where those say too little,
whether it holds words that are known.
"""

from __future__ import annotations

import errno
import json
import math
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from server.chat.errors import ProviderError, ProviderErrorCode
from server.providers.sse_decoder import SSEDecodeError
from server.streaming.values import value


@value
class Meaning:
    """What a status says. `{name}` in the sentence stands for the provider."""

    code: ProviderErrorCode
    sentence: str
    retryable: bool = False


AUTH = Meaning(
    "provider_auth",
    "{name} refused the API key. Check that it is complete, still valid, and allowed to use this model.",
)
FORBIDDEN = Meaning(
    "provider_auth",
    "{name} does not allow this: the key may not use this model, or it refuses this question, or your region.",
)
BAD_REQUEST = Meaning(
    "provider_bad_request",
    "{name} does not accept this request. Shorten the conversation or change the model or its parameters.",
)
NOT_FOUND = Meaning(
    "provider_bad_request",
    "{name} knows no such model or address. Choose another model, or check the provider's base URL.",
)
TOO_LONG = Meaning(
    "provider_bad_request",
    "The conversation is too long for this model of {name}. Start a new one, or choose a larger model.",
)
FILTERED = Meaning(
    "provider_bad_request",
    "{name} refuses what this conversation is about. Put the question in another way, or choose another model.",
)
UNVERIFIED = Meaning(
    "provider_bad_request",
    "{name} streams this model only to verified organizations. Verify yours there, or choose another model.",
)
REDIRECT = Meaning(
    "provider_bad_request",
    "{name} redirects to another address, where its key may not go. Set the base URL to the final one.",
)
NO_CREDIT = Meaning(
    "provider_rate_limited",
    "The account at {name} has no credit or quota left. Add some there, or use another key or provider.",
)
TIMEOUT = Meaning("provider_timeout", "{name} took too long to answer. Try again.", retryable=True)
RATE_LIMITED = Meaning(
    "provider_rate_limited",
    "{name} receives too many requests with this key at the moment. Wait a little, then try again.",
    retryable=True,
)
OVERLOADED = Meaning(
    "provider_overloaded",
    "{name} is overloaded or has a fault at the moment. Try again, or choose another model.",
    retryable=True,
)
LOADING = Meaning("provider_overloaded", "{name} is still loading the model. Try again in a minute.", retryable=True)
UNREACHABLE = Meaning(
    "provider_unreachable",
    "{name} cannot be reached. Check the provider's base URL, and that the network lets this server out.",
    retryable=True,
)
UNKNOWN_HOST = Meaning(
    "provider_unreachable",
    "The host name of {name} is not known here. Check the provider's base URL, and this machine's network and DNS.",
    retryable=True,
)
CLOSED = Meaning(
    "provider_unreachable",
    "Nothing answers at the address of {name}. Check that it runs, and the provider's base URL.",
    retryable=True,
)
UNTRUSTED = Meaning(
    "provider_unreachable",
    "The TLS certificate of {name} is not trusted here. If its issuer is your own, name it in SSL_CERT_FILE.",
)
NO_TLS = Meaning(
    "provider_unreachable",
    "{name} does not speak TLS as it should. Check whether the provider's base URL begins with http or https.",
)
BAD_PROXY = Meaning(
    "provider_unreachable",
    "The proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) does not lead to {name}. Correct it, or "
    "name the provider's host in NO_PROXY.",
    retryable=True,
)
UNUSABLE_PROXY = Meaning(
    "provider_unreachable",
    "The proxy that the environment names (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) is none that this server can use for "
    "{name}: name one that begins with http:// or https://, or none.",
)
FULL = Meaning(
    "provider_unreachable",
    "This server has as many files and connections open as it may, and cannot reach {name}. Try again in a moment; its "
    "operator can raise the limit (ulimit -n).",
    retryable=True,
)
TRUNCATED = Meaning("provider_truncated", "{name} broke off in the middle of the answer. Try again.", retryable=True)
MALFORMED = Meaning(
    "provider_malformed",
    "{name} sent something that is not an answer in its format. Check the provider's base URL, and what "
    "stands between it and this server.",
)

BY_STATUS = {
    400: BAD_REQUEST,
    401: AUTH,
    402: NO_CREDIT,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: NOT_FOUND,
    408: TIMEOUT,
    409: OVERLOADED,
    413: TOO_LONG,
    422: BAD_REQUEST,
    425: OVERLOADED,
    429: RATE_LIMITED,
    504: TIMEOUT,
}

BY_NAME = {
    "1113": NO_CREDIT,  # Z.ai
    "api_error": OVERLOADED,
    "authentication_error": AUTH,
    "badrequesterror": BAD_REQUEST,
    "billing_error": NO_CREDIT,
    "billing_not_active": NO_CREDIT,
    "content_filter": FILTERED,
    "context_length_exceeded": TOO_LONG,
    "contract_spend_limit_reached": NO_CREDIT,
    "data_inspection_failed": FILTERED,
    "datainspectionfailed": FILTERED,
    "enforced_spend_limit_reached": NO_CREDIT,
    "exceed_context_size_error": TOO_LONG,
    "insufficient_quota": NO_CREDIT,
    "internalservererror": OVERLOADED,
    "invalid_api_key": AUTH,
    "invalid_prompt": FILTERED,
    "invalid_request_error": BAD_REQUEST,
    "model_not_found": NOT_FOUND,
    "not_found_error": NOT_FOUND,
    "notfounderror": NOT_FOUND,
    "overloaded_error": OVERLOADED,
    "permission_error": FORBIDDEN,
    "rate_limit_error": RATE_LIMITED,
    "rate_limit_exceeded": RATE_LIMITED,
    "request_too_large": TOO_LONG,
    "server_error": OVERLOADED,
    "string_above_max_length": TOO_LONG,
    "timeout_error": TIMEOUT,
    "unavailable_error": LOADING,  # llama.cpp
}
"""The `code` or `type` of an error object, as OpenAI, Anthropic, vLLM, llama.cpp and others name them."""

BY_WORDS = {
    "your credit balance is too low": NO_CREDIT,  # Anthropic
    "you have reached your specified api usage limits": NO_CREDIT,
    "insufficient balance": NO_CREDIT,  # Moonshot, Z.ai
    "余额不足": NO_CREDIT,
    "organization must be verified": UNVERIFIED,  # OpenAI
    "incorrect api key provided": AUTH,  # xAI
    "api key not valid": AUTH,  # Gemini
    "context length": TOO_LONG,  # LM Studio
    "context size": TOO_LONG,
}
"""Words in the message of those that say it nowhere else, or call it like everything that is wrong with a request."""

# What an error object may say more exactly than the status that it comes with.
REFINES = (AUTH, NO_CREDIT, TOO_LONG, FILTERED, UNVERIFIED, LOADING)

LOADING_TAKES = 20.0  # seconds between attempts, where nobody says more


class UsageRefused(ProviderError):
    """The server does not know `stream_options`, which asks for the usage."""


class LimitRefused(ProviderError):
    """The server wants `max_completion_tokens` for this model."""


def error(meaning: Meaning, name: str, retry_after: float | None = None, cause: str | None = None) -> ProviderError:
    """The ProviderError that says `meaning` about the provider called `name`."""
    return ProviderError(
        meaning.code,
        meaning.sentence.format(name=name),
        retryable=meaning.retryable,
        retry_after=retry_after if meaning.retryable else None,
        cause=cause,
    )


def status_error(name: str, status: int, headers: Mapping[str, str], body: object = None) -> ProviderError:
    """For an answer that is not 200. `body` is its JSON, if it has any."""
    meaning = next((meaning for meaning in named(body) if meaning in REFINES), by_status(status))
    if headers.get("x-should-retry") == "false":  # what both SDKs go by
        meaning = replace(meaning, retryable=False)
    if meaning == BAD_REQUEST:
        said = json.dumps(body)
        for word, refused in (("stream_options", UsageRefused), ("max_completion_tokens", LimitRefused)):
            if word in said:
                return refused(meaning.code, meaning.sentence.format(name=name), cause=f"HTTP {status}")
    wait = retry_after(headers) or (LOADING_TAKES if meaning == LOADING else None)
    return error(meaning, name, wait, cause=f"HTTP {status}")


def event_error(name: str, body: object) -> ProviderError:
    """For an error object in the middle of a stream that began with 200.

    Shapes: `{"error": {"code": 429 | "rate_limit_exceeded", "type": …}}`, or the inner object alone.
    """
    status = number(inner(body).get("code"))
    if status is not None:
        return status_error(name, status, {}, body)
    return error(next(iter(named(body)), OVERLOADED), name)


def provider_error(name: str, problem: Exception, answering: bool) -> ProviderError:
    """For anything that reading an answer may raise; `answering` if the answer had begun.

    Raises `problem` again if it is not of those: then it is a fault of ours.
    """
    if isinstance(problem, ProviderError):
        return problem
    if isinstance(problem, SSEDecodeError):
        return error(MALFORMED, name)
    meaning = connection_meaning(problem, answering)
    if meaning is None:
        raise problem
    return error(meaning, name, cause=" from ".join(map(_kind, causes(problem))))


def connection_meaning(problem: Exception, answering: bool) -> Meaning | None:
    import anyio
    import httpx2

    # Failures of TLS reach us as they are: https://github.com/pydantic/httpx2/issues/854
    if not isinstance(problem, httpx2.TransportError | OSError | anyio.EndOfStream):
        return None
    if isinstance(problem, httpx2.TimeoutException) and not isinstance(problem, httpx2.ConnectTimeout):
        return TIMEOUT
    if isinstance(problem, httpx2.ProxyError):
        return BAD_PROXY
    if answering and not isinstance(problem, httpx2.ConnectError | httpx2.ConnectTimeout):
        return TRUNCATED
    return next(filter(None, map(_meaning_of, causes(problem))), UNREACHABLE)


def _meaning_of(cause: BaseException) -> Meaning | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return UNTRUSTED
        case ssl.SSLError():
            return NO_TLS
        case socket.gaierror():
            return UNKNOWN_HOST
        case ConnectionRefusedError():
            return CLOSED
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return FULL
    return None


def causes(problem: BaseException | None) -> Iterator[BaseException]:
    """What led to it, the last first."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ or problem.__context__


def _kind(problem: BaseException) -> str:
    """Without its text, which may hold a key."""
    number = getattr(problem, "errno", None)
    return type(problem).__name__ + (f" {number}" if number is not None else "")


def by_status(status: int) -> Meaning:
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status < 300:
        return MALFORMED
    if status < 400:
        return REDIRECT
    return BAD_REQUEST if status < 500 else OVERLOADED


def named(body: object) -> Iterable[Meaning]:
    """What an error object says, as far as it is known: the most exact first."""
    said = inner(body)
    details = said.get("details")
    exact = details.get("error_code") if isinstance(details, dict) else None
    names = [str(each).lower() for each in (exact, said.get("code"), said.get("type"))]
    message = str(said.get("message")).lower()
    by_words = [meaning for words, meaning in BY_WORDS.items() if words in message]
    return by_words + [BY_NAME[name] for name in names if name in BY_NAME]


def inner(body: object) -> Mapping[str, Any]:
    """The error object: Gemini puts what it says in an array, xAI and LM Studio its message in the object's place."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    found = body.get("error", body)
    if isinstance(found, str):
        return {**body, "message": found}
    return found if isinstance(found, dict) else {}


def number(code: object) -> int | None:
    if isinstance(code, str) and code.isdecimal() and code.isascii():
        code = int(code[:4])
    return code if isinstance(code, int) and 300 <= code < 600 else None


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The wait that the vendor asks for, in seconds, or None.

    Reads `retry-after-ms`, and `Retry-After` (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after)
    as seconds or as a date.
    """
    for header, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(header, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return until(headers.get("retry-after", ""), time.time() if now is None else now)


def until(date: str, now: float) -> float | None:
    """Seconds from `now` to an HTTP date, 0 if it has passed, None if it is no date."""
    try:
        parsed = parsedate_tz(date)
        return None if parsed is None else max(0.0, mktime_tz(parsed) - now)
    except (ValueError, OverflowError):
        return None
