"""The models that are suggested, newest families first, and what their vendors say about them.

A suggestion is not a limit: any other name is passed on to the vendor as it is. Sources, read in November
2026: https://developers.openai.com/api/docs/models, https://platform.claude.com/docs/en/models/overview,
https://docs.perplexity.ai/docs/sonar/overview.
"""

from __future__ import annotations

from collections.abc import Sequence

from server.chat.provider import ModelInfo
from server.streaming.values import value

OPENAI: Sequence[ModelInfo] = (
    ModelInfo("gpt-6.2-sol", thinking=True),
    ModelInfo("gpt-6.2-astra", thinking=True),
    ModelInfo("gpt-6.1-terra", thinking=True),
    ModelInfo("gpt-6-luna", thinking=True),
    ModelInfo("gpt-5.6-sol", thinking=True),
    ModelInfo("gpt-5.6-terra", thinking=True),
    ModelInfo("gpt-5.6-luna", thinking=True),
    ModelInfo("gpt-5.5", thinking=True),
    ModelInfo("gpt-5.4", thinking=True),
    ModelInfo("gpt-5.4-mini", thinking=True),
)
OPENAI_DEFAULT = "gpt-6.2-sol"

ANTHROPIC: Sequence[ModelInfo] = (
    ModelInfo("claude-opus-5-5", thinking=True),
    ModelInfo("claude-fable-5-2", thinking=True),
    ModelInfo("claude-sonnet-5-5", thinking=True),
    ModelInfo("claude-haiku-5-5", thinking=True),
    ModelInfo("claude-haiku-4-5", thinking=True),
)
ANTHROPIC_DEFAULT = "claude-opus-5-5"

PERPLEXITY: Sequence[ModelInfo] = (
    ModelInfo("sonar-pro"),
    ModelInfo("sonar"),
    ModelInfo("sonar-reasoning-pro"),
    ModelInfo("sonar-deep-research"),
)
PERPLEXITY_DEFAULT = "sonar-pro"

DEMO: Sequence[ModelInfo] = (ModelInfo("demo", thinking=True), ModelInfo("echo"), ModelInfo("long"))
DEMO_DEFAULT = "demo"


@value
class AnthropicLimits:
    """What a request to Anthropic's API has to know about a model.

    Sources: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting for the kinds of
    thinking, and the models' own pages for their output.
    """

    max_output: int  # tokens; a request has to name a limit
    adaptive: bool  # thinks as much as its effort says, instead of taking a budget of tokens


ANTHROPIC_LIMITS = {
    "claude-haiku-4-5": AnthropicLimits(max_output=64_000, adaptive=False),
    "claude-opus-4-5": AnthropicLimits(max_output=64_000, adaptive=False),
    "claude-sonnet-4-5": AnthropicLimits(max_output=64_000, adaptive=False),
    "claude-": AnthropicLimits(max_output=128_000, adaptive=True),
    "": AnthropicLimits(max_output=16_384, adaptive=False),  # another vendor's model behind the same format
}
"""By what the name of a model begins with: the first that fits holds."""
