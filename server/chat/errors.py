"""What can go wrong, as the wire names it.

    ProviderError              a provider failed; told in an `error` event
    ChatError
    ├── NotFound               404 not_found
    ├── Busy                   409 session_busy
    ├── NotActive              409 not_active
    ├── Invalid                422 invalid
    ├── IdempotencyKeyReused   422 idempotency_key_reused
    ├── UnknownModel           422 unknown_model
    ├── ProviderNotConfigured  422 provider_not_configured
    ├── RateLimited            429 rate_limited
    ├── Overloaded             503 overloaded
    ├── Draining               503 draining
    └── StorageUnavailable     503 storage_unavailable

`api/errors.py` turns each into a problem (RFC 9457); a test keeps that table complete.
"""

from __future__ import annotations

from typing import ClassVar, Literal

ProviderErrorCode = Literal[
    "provider_auth",
    "provider_rate_limited",
    "provider_overloaded",
    "provider_bad_request",
    "provider_timeout",
    "provider_truncated",
    "provider_malformed",
    "provider_unreachable",
]


class ChatError(Exception):
    """The root: `code` is the wire's name for it, `detail` a sentence for a person."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ProviderError(Exception):
    """A provider did not answer as it should.

    `detail` is our own sentence, never the provider's text: that may hold keys or prompts.
    `retryable` says whether the same request may succeed later; `retry_after` is the wait the
    provider asked for, in seconds, or None. `cause` is for the log: kinds and numbers, nobody's text.
    """

    def __init__(
        self,
        code: ProviderErrorCode,
        detail: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        cause: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.cause = cause
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.retry_after = retry_after


class NotFound(ChatError):
    """There is no such thing, or it belongs to somebody else: the two look the same from outside."""

    code = "not_found"


class Busy(ChatError):
    """Another answer of this session is being written, and the request said `reject`."""

    code = "session_busy"
    retryable = True

    def __init__(self, active: str) -> None:
        super().__init__(f"message {active} of this session is still being written")
        self.active = active


class NotActive(ChatError):
    """Only an assistant message can be cancelled."""

    code = "not_active"


class Invalid(ChatError):
    """A field has the right type, but a value that makes no sense here."""

    code = "invalid"

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class IdempotencyKeyReused(ChatError):
    """The key was used before, with another request."""

    code = "idempotency_key_reused"


class UnknownModel(ChatError):
    """No such provider, or a model that the operator does not allow."""

    code = "unknown_model"


class ProviderNotConfigured(ChatError):
    """The provider needs a key, and neither the operator nor the request gave one."""

    code = "provider_not_configured"


class RateLimited(ChatError):
    """The caller has as many answers being written as one caller may have."""

    code = "rate_limited"
    retryable = True


class Overloaded(ChatError):
    """More answers are being written than the operator allows at once."""

    code = "overloaded"
    retryable = True


class Draining(ChatError):
    """The server is about to stop and starts nothing new."""

    code = "draining"
    retryable = True


class StorageUnavailable(ChatError):
    """The log could not be written or read; nothing was shown that is not in it."""

    code = "storage_unavailable"
    retryable = True
