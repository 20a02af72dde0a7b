"""Perplexity's Sonar: the OpenAI format, with sources.

https://docs.perplexity.ai/docs/sonar/features
"""

from __future__ import annotations

from server.providers.models import PERPLEXITY, PERPLEXITY_DEFAULT
from server.providers.openai import OpenAIProvider

BASE_URL = "https://api.perplexity.ai"


class PerplexityProvider(OpenAIProvider):
    asks_for_usage = False  # it comes unasked, with every chunk

    def __init__(self, *, api_key: str | None, base_url: str | None = None, connect_timeout: float = 10.0) -> None:
        super().__init__(
            id="perplexity",
            name="Perplexity",
            api_key=api_key,
            key_name="PERPLEXITY_API_KEY",
            base_url=base_url or BASE_URL,
            connect_timeout=connect_timeout,
            models=PERPLEXITY,
            default_model=PERPLEXITY_DEFAULT,
        )
