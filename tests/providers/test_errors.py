"""Every failure of a vendor has a meaning, and its sentence is ours."""

from __future__ import annotations

import socket
import ssl
from typing import get_args

import anyio
import httpx2
import pytest

from server.chat.errors import ProviderError, ProviderErrorCode
from server.providers import errors, meanings
from server.providers.errors import event_error, provider_error, retry_after, status_error
from server.providers.meanings import Meaning
from server.providers.sse_decoder import SSEDecodeError

MEANINGS = [value for value in vars(meanings).values() if isinstance(value, Meaning)]


def test_every_code_has_a_meaning_and_every_meaning_names_the_provider() -> None:
    assert {meaning.code for meaning in MEANINGS} == set(get_args(ProviderErrorCode))
    for meaning in MEANINGS:
        detail = errors.error(meaning, "Acme").detail
        assert "Acme" in detail
        assert "{" not in detail
        assert detail.endswith(".")


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (204, "provider_malformed", False),
        (302, "provider_bad_request", False),
        (400, "provider_bad_request", False),
        (401, "provider_auth", False),
        (402, "provider_rate_limited", False),
        (403, "provider_auth", False),
        (404, "provider_bad_request", False),
        (408, "provider_timeout", True),
        (413, "provider_bad_request", False),
        (418, "provider_bad_request", False),
        (422, "provider_bad_request", False),
        (429, "provider_rate_limited", True),
        (500, "provider_overloaded", True),
        (502, "provider_overloaded", True),
        (503, "provider_overloaded", True),
        (504, "provider_timeout", True),
        (529, "provider_overloaded", True),
    ],
)
def test_statuses(status: int, code: str, retryable: bool) -> None:
    problem = status_error("Acme", status, {})
    assert (problem.code, problem.retryable) == (code, retryable)


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (429, {"error": {"type": "insufficient_quota"}}, "credit"),
        (400, {"type": "error", "error": {"type": "billing_error"}}, "credit"),
        (400, {"error": {"code": "context_length_exceeded", "type": "invalid_request_error"}}, "too long"),
        (401, {"error": {"type": "invalid_request_error"}}, "API key"),
        (403, None, "does not allow"),
        (403, {"error": {"type": "permission_error"}}, "does not allow"),
        (429, {"error": {"code": "billing_not_active"}}, "credit"),
        (
            429,
            {"error": {"type": "rate_limit_error", "details": {"error_code": "enforced_spend_limit_reached"}}},
            "credit",
        ),
        (400, {"error": {"type": "invalid_request_error", "message": "Your credit balance is too low to"}}, "credit"),
        (400, {"error": {"message": "You have reached your specified API usage limits. You"}}, "credit"),
        (400, {"error": {"code": "content_filter"}}, "refuses what"),
        (429, {"error": {"code": "1113", "message": "Insufficient balance or no resource package."}}, "credit"),
        (429, {"error": {"type": "exceeded_current_quota_error", "message": "due to insufficient balance"}}, "credit"),
        (400, {"error": {"code": "invalid_prompt", "type": "invalid_request_error"}}, "refuses what"),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}], "API key"),
        (
            400,
            {"code": "Client specified an invalid", "error": "Incorrect API key provided: xa***"},
            "API key",
        ),
        (400, {"error": {"message": "Your organization must be verified to stream this model."}}, "verified"),
        (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, "loading the model"),
        (429, {"error": {"details": ["a"]}}, "too many"),
        (500, {"error": {"type": "invalid_request_error"}}, "fault"),
        (400, {"error": ["a"]}, "does not accept"),
        (400, ["a"], "does not accept"),
        (400, {"error": {"code": ["a"], "type": 5}}, "does not accept"),
    ],
)
def test_a_body_may_say_it_more_exactly(status: int, body: object, word: str) -> None:
    assert word in status_error("Acme", status, {}, body).detail


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, "provider_overloaded"),
        ({"type": "error", "error": {"type": "rate_limit_error"}}, "provider_rate_limited"),
        ({"error": {"code": 401}}, "provider_auth"),
        ({"error": {"code": True, "type": "timeout_error"}}, "provider_timeout"),
        ({"error": "keep from the initial prompt is greater than the context length"}, "provider_bad_request"),
        ({"error": {"code": "data_inspection_failed"}}, "provider_bad_request"),
        ({"error": {"code": "99999999999999999999"}}, "provider_overloaded"),
        ({"error": {"code": 7}}, "provider_overloaded"),
        ("nonsense", "provider_overloaded"),
    ],
)
def test_errors_inside_a_stream(body: object, code: str) -> None:
    assert event_error("Acme", body).code == code


@pytest.mark.parametrize(
    ("problem", "before", "within"),
    [
        (httpx2.ConnectError("s3cret"), "provider_unreachable", "provider_unreachable"),
        (httpx2.ConnectTimeout("s3cret"), "provider_unreachable", "provider_unreachable"),
        (httpx2.ReadTimeout("s3cret"), "provider_timeout", "provider_timeout"),
        (httpx2.ReadError("s3cret"), "provider_unreachable", "provider_truncated"),
        (httpx2.RemoteProtocolError("s3cret"), "provider_unreachable", "provider_truncated"),
        (ssl.SSLError("s3cret"), "provider_unreachable", "provider_truncated"),
        (anyio.EndOfStream(), "provider_unreachable", "provider_truncated"),
        (SSEDecodeError("s3cret"), "provider_malformed", "provider_malformed"),
    ],
)
def test_failures_of_the_connection(problem: Exception, before: str, within: str) -> None:
    assert provider_error("Acme", problem, answering=True).code == within
    assert provider_error("Acme", problem, answering=False).code == before


@pytest.mark.parametrize(
    ("cause", "said", "logged"),
    [
        (socket.gaierror(-2, "s3cret"), "host name", "ConnectError from gaierror -2"),
        (ConnectionRefusedError(111, "s3cret"), "Nothing answers", "ConnectError from ConnectionRefusedError 111"),
        (ssl.SSLCertVerificationError(1, "s3cret"), "certificate", "ConnectError from SSLCertVerificationError 1"),
        (ssl.SSLError(1, "s3cret"), "http or https", "ConnectError from SSLError 1"),
        (OSError(24, "s3cret"), "ulimit", "ConnectError from OSError 24"),
        (OSError(113, "s3cret"), "cannot be reached", "ConnectError from OSError 113"),
    ],
)
def test_why_nothing_is_reached_is_said_and_logged(cause: OSError, said: str, logged: str) -> None:
    failed = httpx2.ConnectError("s3cret")
    failed.__cause__ = cause
    problem = provider_error("Acme", failed, answering=False)
    assert problem.code == "provider_unreachable"
    assert said in problem.detail
    assert problem.cause == logged


def test_what_was_answered_is_logged() -> None:
    assert status_error("Acme", 429, {}).cause == "HTTP 429"


def test_our_own_faults_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        provider_error("Acme", ZeroDivisionError(), answering=True)
    known = ProviderError("provider_auth", "…")
    assert provider_error("Acme", known, answering=True) is known


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "Sun, 99 Nov 99999999999 12:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    noon = 1_795_348_800.0  # 2026-11-22 12:00:00 UTC
    assert retry_after(headers, now=noon) == seconds


def test_who_says_that_to_try_again_is_no_use_is_believed() -> None:
    problem = status_error("Acme", 429, {"x-should-retry": "false", "retry-after": "1"})
    assert (problem.retryable, problem.retry_after) == (False, None)
    assert status_error("Acme", 429, {"x-should-retry": "true"}).retryable


def test_a_model_that_is_being_loaded_is_given_time() -> None:
    loading = {"error": {"type": "unavailable_error"}}
    problem = status_error("Acme", 503, {}, loading)
    assert (problem.code, problem.retryable, problem.retry_after) == ("provider_overloaded", True, 20)
    assert status_error("Acme", 503, {"retry-after": "3"}, loading).retry_after == 3


def test_only_what_may_be_tried_again_says_when() -> None:
    assert status_error("Acme", 429, {"retry-after": "5"}).retry_after == 5
    assert status_error("Acme", 401, {"retry-after": "5"}).retry_after is None
