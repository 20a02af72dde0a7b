"""How an answer ended, as its message has it, and what its readers are told of it."""

from __future__ import annotations

import logging
from typing import Any

from server.chat.answer import Cancelled, Interrupted
from server.chat.draft import Draft
from server.chat.errors import ProviderError, StorageUnavailable
from server.chat.models import Message
from server.chat.problems import internal, interrupted, problem

logger = logging.getLogger(__name__)


def outcome(message: Message, draft: Draft, error: BaseException | None) -> dict[str, Any]:
    """The fields of the message that say how it ended; `error`: what ended it, if not its provider."""
    if error is None:
        assert draft.finish is not None
        return {"status": "completed", "finish_reason": draft.finish.reason}
    if isinstance(error, Cancelled):
        return {"status": "cancelled", "finish_reason": "cancelled"}
    if isinstance(error, Interrupted):
        return {"status": "interrupted", "problem": interrupted(message.id)}
    return {"status": "failed", "problem": _problem_of(message, error)}


def provider_problem(message: Message, error: ProviderError) -> dict[str, Any]:
    return problem(
        error.code,
        error.detail,
        instance=f"/api/messages/{message.id}",
        retryable=error.retryable,
        retry_after=error.retry_after,
    )


def _problem_of(message: Message, error: BaseException) -> dict[str, Any]:
    if isinstance(error, ProviderError):
        told = {"provider": message.provider, "code": error.code, "cause": error.cause}
        logger.warning("a provider failed", extra={**named(message), **told})
        return provider_problem(message, error)
    if isinstance(error, StorageUnavailable):
        return problem("storage_unavailable", error.detail, instance=f"/api/messages/{message.id}")
    logger.error("an answer failed", exc_info=error, extra=named(message))
    return internal(message.id)


def named(message: Message) -> dict[str, str]:
    """For the log: which answer."""
    return {"message_id": message.id}
