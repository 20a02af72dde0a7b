"""What is sent to a vendor is what its SDK would have sent: the same address, body and headers."""

from __future__ import annotations

from collections.abc import Mapping

import anthropic
import openai
import pytest

from server.chat.errors import ProviderError
from server.chat.provider import Prompt, Turn
from server.providers.anthropic import AnthropicProvider
from server.providers.openai import OpenAIProvider
from server.providers.sdk import SDKProvider
from tests.providers.wire import Request, WireServer, response

pytestmark = pytest.mark.anyio

KEY = "sk-test"
TURNS = [Turn("user", "Héllo \ud83d\ude00, \u2028?"), Turn("assistant", "Yes."), Turn("user", "Go on.")]
PROMPTS = [
    Prompt("some-model", TURNS[:1]),
    Prompt("some-model", TURNS, system="Be brief.", max_tokens=9_000, temperature=0.5, ultra_thinking=True),
]
OTHERWISE = (
    *("host", "connection", "content-length"),  # of the connection
    *("accept", "accept-encoding"),  # an event stream, and nothing compressed
    *("x-stainless-retry-count", "x-stainless-read-timeout", "x-stainless-timeout"),  # both are ours
    *("authorization", "x-api-key"),  # Anthropic takes the key in either, and others in the latter only
)


def headers(request: Request) -> Mapping[str, str]:
    assert KEY in request.headers.get("authorization", "") + request.headers.get("x-api-key", "")
    return {name: value for name, value in request.headers.items() if name not in OTHERWISE}


async def sent(vendor: WireServer, provider: SDKProvider, prompt: Prompt) -> Request:
    with pytest.raises(ProviderError):
        async for _ in provider.stream(prompt):
            pass
    await provider.aclose()
    return vendor.requests[-1]


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_to_openai(prompt: Prompt) -> None:
    async with WireServer(response(401, body=b"{}")) as vendor:
        provider = OpenAIProvider(api_key=KEY, base_url=f"{vendor.url}/v1")
        ours = await sent(vendor, provider, prompt)
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{vendor.url}/v1", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError):
                await client.chat.completions.create(**provider.request(prompt))
        theirs = vendor.requests[-1]
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert ours.json() == theirs.json()
    assert headers(ours) == headers(theirs)


@pytest.mark.parametrize("prompt", PROMPTS)
async def test_to_anthropic(prompt: Prompt) -> None:
    async with WireServer(response(401, body=b"{}")) as vendor:
        provider = AnthropicProvider(api_key=KEY, base_url=vendor.url, connect_timeout=5)
        ours = await sent(vendor, provider, prompt)
        async with anthropic.AsyncAnthropic(api_key=KEY, base_url=vendor.url, max_retries=0) as client:
            with pytest.raises(anthropic.AuthenticationError):
                await client.messages.create(**provider.request(prompt))
        theirs = vendor.requests[-1]
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    assert ours.json() == theirs.json()
    assert headers(ours) == headers(theirs)
