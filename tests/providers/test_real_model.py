"""The OpenAI format as a real server speaks it, about a real model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.chat.errors import ProviderError
from server.chat.provider import Delta, Finish, Prompt, Text, Turn, Usage
from server.providers.openai import OpenAIProvider
from tests.real_model import CONTEXT, LlamaServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def provider(llama_server: LlamaServer) -> AsyncIterator[OpenAIProvider]:
    provider = OpenAIProvider(id="local", name="llama.cpp", api_key=None, key_name=None, base_url=llama_server.base_url)
    yield provider
    await provider.aclose()


def prompt(text: str, max_tokens: int) -> Prompt:
    return Prompt("gemma", [Turn("user", text)], max_tokens=max_tokens, temperature=0)


async def ask(provider: OpenAIProvider, text: str, max_tokens: int) -> list[Delta]:
    return [delta async for delta in provider.stream(prompt(text, max_tokens))]


async def test_an_answer_comes_token_by_token_with_its_usage(provider: OpenAIProvider) -> None:
    *pieces, usage, finish = await ask(provider, "The capital of France is", 24)
    text = "".join(piece.content for piece in pieces if isinstance(piece, Text))
    assert len(pieces) == 24
    assert "France" in text
    assert usage == Usage(input_tokens=6, output_tokens=24)
    assert finish == Finish("length")


async def test_two_answers_at_once_keep_apart(provider: OpenAIProvider) -> None:
    questions = ["The sky is", "One, two, three,"]
    together = await asyncio.gather(*(ask(provider, question, 16) for question in questions))
    assert all(deltas[-1] == Finish("length") for deltas in together)
    assert together[0] != together[1]


async def test_a_conversation_that_is_too_long_is_refused(provider: OpenAIProvider) -> None:
    with pytest.raises(ProviderError, match="too long") as caught:
        await ask(provider, "word " * 2 * CONTEXT, 1)
    assert caught.value.code == "provider_bad_request"


async def test_leaving_frees_the_server_for_the_next(provider: OpenAIProvider) -> None:
    for _ in range(4):  # more than it answers at once, and each would be long
        deltas = provider.stream(prompt("Once upon a time", CONTEXT - 64))
        assert isinstance(await anext(deltas), Text)
        await deltas.aclose()
    async with asyncio.timeout(15):
        assert len(await ask(provider, "Once upon a time", 4)) == 6
