"""The port to whoever answers: a prompt goes in, deltas come out.

Deltas live in memory and have no ids; `draft.py` turns them into events of the log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import field
from typing import Literal, Protocol

from server.streaming.values import value

Role = Literal["user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter"]


@value
class Turn:
    """One message of the history a provider is asked to continue."""

    role: Role
    content: str


@value
class Prompt:
    """What a provider is asked. `turns` is not empty and ends with the user's."""

    model: str
    turns: Sequence[Turn]
    system: str | None = None
    ultra_thinking: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    api_key: str | None = None  # given with this request: used for it alone, kept nowhere
    # Called when the vendor has sent something, if only that it is there.
    heard: Callable[[], None] = field(default=lambda: None, compare=False)

    def __repr__(self) -> str:
        # A prompt may end up in a traceback or a log; its key and its text may not.
        return f"Prompt(model={self.model!r}, turns={len(self.turns)})"


@value
class Text:
    """The next piece of the answer; not empty."""

    content: str


@value
class Thinking:
    """The next piece of the reasoning; not empty."""

    content: str


@value
class Source:
    url: str
    title: str


@value
class Sources:
    """Citations found so far that were not told before."""

    sources: Sequence[Source]


@value
class Usage:
    """Tokens as the provider counts them. May come more than once: the last one holds."""

    input_tokens: int
    output_tokens: int


@value
class Finish:
    """The provider said that the answer is whole, and why it ended."""

    reason: FinishReason


Delta = Text | Thinking | Sources | Usage | Finish


@value
class ModelInfo:
    id: str
    thinking: bool = False  # whether `ultra_thinking` changes anything


@value
class ProviderInfo:
    """What `GET /api/providers` tells about one provider."""

    id: str
    name: str
    ready: bool  # whether it can answer without a key from the request
    reason: str | None  # what is missing when it is not ready
    default_model: str | None
    models: Sequence[ModelInfo]
    accepts_any_model: bool


class Provider(Protocol):
    """One vendor, or one server that speaks a vendor's format.

    Guarantees of an implementation:
    - `stream` yields deltas in the vendor's order, as soon as their bytes have arrived. `Finish` comes at
      most once; a stream that the vendor cut short raises `ProviderError("provider_truncated")` and
      never just ends.
    - it raises nothing but `ProviderError` (and lets cancellation through), and its details contain
      neither keys nor the vendor's own text;
    - it does not retry: whether and when is the caller's decision, told to the reader;
    - closing the iterator (`aclose`) or cancelling its task closes the vendor's connection.
    """

    @property
    def info(self) -> ProviderInfo: ...

    def stream(self, prompt: Prompt) -> AsyncIterator[Delta]: ...

    async def aclose(self) -> None: ...


class Providers(Protocol):
    """All that are known, by id."""

    @property
    def default(self) -> str: ...

    def __getitem__(self, provider: str) -> Provider: ...

    def infos(self) -> Sequence[ProviderInfo]: ...

    def resolve(self, provider: str | None, model: str | None, api_keys: Mapping[str, str]) -> tuple[str, str]:
        """The provider and model a request means, defaults filled in.

        Raises UnknownModel (unknown provider, or a model outside the operator's list) and
        ProviderNotConfigured (no key from the operator nor in `api_keys`).
        """
        ...
