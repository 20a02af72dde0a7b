"""From what went wrong with a vendor to a ProviderError, by the table in meanings.py: one for every provider.

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

from server.chat.errors import ProviderError
from server.providers.meanings import (
    BAD_PROXY,
    BAD_REQUEST,
    BY_NAME,
    BY_STATUS,
    BY_WORDS,
    CLOSED,
    FULL,
    LOADING,
    MALFORMED,
    NO_TLS,
    OVERLOADED,
    REDIRECT,
    REFINES,
    TIMEOUT,
    TRUNCATED,
    UNKNOWN_HOST,
    UNREACHABLE,
    UNTRUSTED,
    Meaning,
)
from server.providers.sse_decoder import SSEDecodeError

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
